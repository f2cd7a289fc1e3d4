"""The command `visaged`. Heavy modules are imported where a command needs them: --version must not wait for them."""

import argparse
import contextlib
import importlib.metadata
import os
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

DEFAULT_CHAIN = "face-detector,face-fitter"

EXIT_ERROR = 1
EXIT_CONFIG = 2
EXIT_INTERRUPTED = 130

SHELLS = ("bash", "zsh", "fish")
"""Of `visaged completion`."""

ACTIONS = {
    "show": "settings and status of a stream, as JSON; passwords are not read back",
    "remove": "stop a stream for good",
    "pause": "leave its source alone",
    "resume": "connect it again",
    "restart": "connect its source anew",
    "check": "what its camera sends, or why nothing comes; status 1 then",
}
"""Of `visaged streams`, on one stream."""

SETTING = {
    "add": "add a stream, where there is none of this id: source=rtsp://... fps=5",
    "set": "change settings of a stream, or add it",
}
"""The same, with settings."""

SCHEMAS = {
    "config": "every key of the configuration, with its default and meaning (without WHAT this is printed)",
    "markdown": "the same as a page: docs/configuration.md",
    "documents": "JSON Schemas of what sinks are given: documents, events, and the headers of dead letters",
    "asyncapi": "AsyncAPI of Kafka's topics",
    "openapi": "OpenAPI of what is answered over HTTP",
}
"""Of `visaged schema`."""

FILTERS = {
    "stream": ("streams", "of this stream"),
    "type": ("types", "track, place, or one kind of them: track.left, place.crossed"),
    "class": ("classes", "face or body"),
    "zone": ("zones", "of this zone or line"),
}
MOMENTS = {"from": ("since", "since then: 2026-11-25T08:00:00Z"), "to": ("until", "before then")}
"""Of `visaged history`, as /history calls them and as the client does."""

STATUSES = {
    "0": "it came to its end, or was told to stop",
    "1": "it cannot go on: a sink refuses for good, state_dir or a sink's file is another's, models hang or have "
    "changed, the stop took too long; check --connect: a broker, webhook or camera refuses; process: an input could "
    "not be read whole; init, probe: no picture comes; find: no camera, or one that refuses; "
    "streams, history: the daemon refuses or does not answer, or a check finds no picture",
    "2": "a mistake in the command line or the configuration; nothing was started",
    "130, 143": "SIGINT or SIGTERM ended it at once; run only by a second one, more than a second later; demo never",
}
"""Exit statuses, for people: docs/commands.md has the same."""

EXAMPLES = """\
examples:
  visaged demo                          a camera, a broker, the daemon and a consumer, on this machine
  visaged run configs/http.yaml         every HTTP service on 127.0.0.1:8080, no stream
  visaged run my.yaml                   streams and services as configured
  visaged find                          the cameras of this network, by ONVIF
  visaged init                          asks for a camera, and writes a configuration that runs
  visaged probe rtsp://192.0.2.10/1     what the camera sends, what it costs here, which fps is right
  visaged process photo.jpg --draw out  documents of a photo on standard output, its drawing in out/
  visaged streams list                  the streams of a daemon that runs; `set`, `pause` and `apply` change them
  visaged evaluate labelled/            the accuracy of every processor on labelled pictures

exit status:
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit status is 0, 1 for an error, 2 for a mistake in the command line or configuration."""
    arguments = _parser().parse_args(argv)
    from daemon.errors import ConfigError, VisagedError
    from models.errors import ModelError
    from sinks.base import SinkError

    try:
        status: int = arguments.run(arguments)
    except ConfigError as err:
        sys.stderr.write(f"{err}\n")
        return EXIT_CONFIG
    except (VisagedError, ModelError, SinkError) as err:
        sys.stderr.write(f"visaged: {err}\n")
        return EXIT_ERROR
    except BrokenPipeError:
        return EXIT_ERROR  # whoever read our output is gone
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED  # `run` sees to its signals itself
    return status


def _statuses() -> str:
    return "\n".join(
        textwrap.fill(meaning, 118, initial_indent=f"  {status:10}", subsequent_indent=" " * 12)
        for status, meaning in STATUSES.items()
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visaged",
        description="Face and body analytics for camera streams and single images.",
        epilog=EXAMPLES + _statuses(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"visaged {importlib.metadata.version('visaged')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the daemon on a configuration; SIGHUP: read its streams again")
    run.add_argument("config", type=Path, help="a YAML file; VISAGED_ variables win over it")
    run.set_defaults(run=_run)

    check = commands.add_parser("check", help="check a configuration and open its models without starting anything")
    check.add_argument("config", type=Path)
    check.add_argument(
        "--connect",
        action="store_true",
        help="also ask brokers, their rights, webhooks and cameras, which changes nothing; else nothing is sent",
    )
    check.set_defaults(run=_check)

    demo = commands.add_parser("demo", help="run a camera simulator, a broker, the daemon and a consumer")
    demo.add_argument("--broker", metavar="HOST:PORT", help="use this Kafka broker instead of the embedded one")
    demo.add_argument("--seconds", type=float, help="stop after this time instead of at Ctrl-C")
    demo.set_defaults(run=_demo)

    process = commands.add_parser("process", help="run a chain on pictures, videos or folders of pictures")
    process.add_argument("inputs", nargs="+", metavar="IMAGE", help="a picture, a video, or a folder of pictures")
    process.add_argument(
        "--chain", type=_names, default=DEFAULT_CHAIN, help=f"processors in order (default: {DEFAULT_CHAIN})"
    )
    process.add_argument("--draw", type=Path, metavar="OUT", help="a folder for drawings of what was found")
    process.add_argument("--config", type=Path, help="take the processors' and models' settings from this file")
    process.set_defaults(run=_process)

    evaluate = commands.add_parser("evaluate", help="measure the accuracy of the processors on labelled folders")
    evaluate.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a labelled set, or a folder of sets")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write all figures to this file")
    evaluate.add_argument("--pictures", type=Path, metavar="DIR", help="a folder for ROC curves and confusion matrices")
    evaluate.add_argument("--compare", type=Path, metavar="OLD.json", help="say what has changed since an earlier run")
    evaluate.add_argument("--limit", type=_positive, metavar="N", help="so many pictures of each set at most")
    evaluate.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="COLUMN",
        help="break the figures down by a column of the labels too; may be given several times",
    )
    evaluate.add_argument(
        "--turn",
        type=_degrees,
        default=(),
        metavar="DEGREES",
        help="measure the pictures turned clockwise too, by each of these degrees: 45,90,180",
    )
    evaluate.add_argument("--config", type=Path, help="take the processors' and models' settings from this file")
    evaluate.set_defaults(run=_evaluate)

    models = commands.add_parser(
        "models", help="list the models: task, licence, size, whether the file is the right one"
    )
    told = models.add_mutually_exclusive_group()
    told.add_argument(
        "--cards",
        type=Path,
        metavar="RUN.json",
        help="instead put the figures of a run, which `evaluate --json` wrote, into models/README.md",
    )
    told.add_argument("--json", action="store_true", help="as JSON, sizes in bytes")
    models.add_argument(
        "--config",
        type=Path,
        help="also open each model as this file says, and show by which runtime and precision it runs here, and why",
    )
    models.set_defaults(run=_models)

    keys = commands.add_parser("keys", help="make keys for HTTP, and list those of a configuration")
    of_keys = keys.add_subparsers(required=True, metavar="COMMAND")
    new = of_keys.add_parser("new", help="print a new key, and its line of the configuration")
    new.add_argument("name", metavar="NAME", help="what the log calls it: grafana, reception")
    new.add_argument(
        "--role",
        action="append",
        required=True,
        metavar="ROLE",
        help="query, metrics, watch, templates or control; may be given several times",
    )
    new.add_argument(
        "--stream",
        action="append",
        default=[],
        metavar="PATTERN",
        help="ids of the streams that it is for (default: all): door, yard-*; may be given several times",
    )
    new.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="print no key: keep it in FOLDER/NAME.key and its hash in FOLDER/NAME.sha256, unless it is there already",
    )
    new.set_defaults(run=_new_key)
    listed = of_keys.add_parser("list", help="list the keys of a configuration: name, roles, streams, limits")
    listed.add_argument("config", type=Path, nargs="?", help="a YAML file (default: none, VISAGED_ variables alone)")
    listed.add_argument("--json", action="store_true", help="as JSON, with the whole hashes")
    listed.set_defaults(run=_list_keys)

    _add_init(commands)
    _add_probe(commands)
    _add_find(commands)
    _add_streams(commands)
    _add_history(commands)

    sbom = commands.add_parser("sbom", help="print what this installation consists of, as CycloneDX 1.6 (JSON)")
    sbom.add_argument("--licences", action="store_true", help="a table of names, versions and licences instead")
    sbom.set_defaults(run=_sbom)

    schema = commands.add_parser("schema", help="print what can be configured, and what is written")
    schema.set_defaults(run=_schema, of="config")
    of_schema = schema.add_subparsers(metavar="WHAT")
    for what, meaning in SCHEMAS.items():
        of_schema.add_parser(what, help=meaning).set_defaults(of=what)
    writing = of_schema.add_parser("write", help="write all but the configuration's into a folder, a file each")
    writing.add_argument("folder", type=Path, metavar="FOLDER")
    writing.set_defaults(run=_write_schemas)
    registering = of_schema.add_parser("register", help="give the schemas of documents and events to a registry")
    registering.add_argument(
        "--registry",
        required=True,
        metavar="URL",
        help="Confluent's API: http://HOST:8081, http://HOST/apis/ccompat/v7",
    )
    registering.add_argument("--user", metavar="NAME", help="of a registry that wants a login (Basic)")
    registering.add_argument("--password-file", type=Path, metavar="FILE", help="a file with the user's password")
    registering.add_argument(
        "--compatibility",
        default="FORWARD_TRANSITIVE",
        metavar="LEVEL",
        help="what the registry expects of later versions (default: FORWARD_TRANSITIVE; docs/schemas.md says why)",
    )
    registering.set_defaults(run=_register_schemas)

    completion = commands.add_parser("completion", help="print what makes a shell complete this command by Tab")
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    completion.set_defaults(run=_completion)
    return parser


def _add_init(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    init = commands.add_parser("init", help="write a configuration for a camera; without --source it asks")
    init.add_argument("file", type=Path, nargs="?", default="visaged.yaml", help="a new file (default: %(default)s)")
    init.add_argument("--source", metavar="URL", help="rtsp://, rtsps://, http://, https:// or a path")
    _add_login(init)
    init.add_argument("--stream", default="camera", metavar="ID", help="what documents call it (default: %(default)s)")
    init.add_argument("--chain", type=_names, default=_names(DEFAULT_CHAIN), help="processors in order")
    init.add_argument("--fps", type=_positive, metavar="N", help="frames per second to look at (default: what fits)")
    init.add_argument("--broker", metavar="HOST:PORT", help="write documents to Kafka, and not to standard output")
    init.add_argument("--topic", default="visaged", help="the topic there (default: %(default)s)")
    init.add_argument("--offline", action="store_true", help="leave the camera alone: neither asked nor measured")
    init.set_defaults(run=_init)


def _add_probe(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    probe = commands.add_parser("probe", help="say what a camera sends, and what it costs to look at it here")
    probe.add_argument("source", metavar="URL", help="rtsp://, rtsps://, http://, https:// or a path")
    _add_login(probe)
    probe.add_argument("--cameras", type=_positive, default=1, metavar="N", help="recommend for so many like it here")
    probe.add_argument(
        "--chain", type=_names, default=DEFAULT_CHAIN, help=f"processors in order (default: {DEFAULT_CHAIN})"
    )
    probe.add_argument("--config", type=Path, help="take the processors' and models' settings from this file")
    probe.add_argument("--json", action="store_true", help="as JSON")
    probe.set_defaults(run=_probe)


def _add_find(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    find = commands.add_parser("find", help="list the cameras of a network, by ONVIF; with a login their streams too")
    find.add_argument(
        "--interface", metavar="NAME", help="the network interface, or its address (default: the system's)"
    )
    find.add_argument("--host", metavar="HOST[:PORT]", help="ask this camera alone, which may be behind a router")
    find.add_argument("--seconds", type=_seconds, default=3.0, metavar="S", help="to wait, 1 to 60 (default: 3)")
    _add_login(find)
    find.add_argument("--json", action="store_true", help="as JSON")
    find.set_defaults(run=_find)


def _add_login(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--username", metavar="NAME", help="the user at the camera (default: the one in the address)")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="a file with the password of that user")


def _add_streams(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    streams = commands.add_parser("streams", help="see, add, change and remove the streams of a daemon that runs")
    _add_daemon(streams, "control")
    actions = streams.add_subparsers(required=True, metavar="ACTION", dest="action")
    of_all = actions.add_parser("list", help="id, state, origin, name and error of each")
    of_all.add_argument("--state", action="append", default=[], help="these alone; may be given several times")
    of_all.add_argument("--label", action="append", default=[], metavar="NAME[=VALUE]", help="with all of these alone")
    of_all.add_argument("--json", action="store_true", help="all that is known of them, as JSON")
    for action, meaning in ACTIONS.items():
        actions.add_parser(action, help=meaning).add_argument("stream", metavar="ID")
    watching = actions.add_parser("watch", help="what is seen, a line of JSON each; with a key of the role watch")
    watching.add_argument("stream", metavar="ID", nargs="?", help="(default: all that the key is for)")
    watching.add_argument("--types", metavar="TYPE,...", help="these alone: frame, track, place")
    for action, meaning in SETTING.items():
        setting = actions.add_parser(action, help=meaning)
        setting.add_argument("stream", metavar="ID")
        setting.add_argument(
            "assignments",
            nargs="+",
            metavar="KEY=VALUE",
            help="JSON or text; @FILE is a file's content, null takes a key away, labels.site=depot is a key below "
            "another",
        )
    applying = actions.add_parser("apply", help="make the streams that were added at run time equal to a file's")
    applying.add_argument("file", type=Path, help="YAML with `streams`, as `export` writes it")
    applying.add_argument("--prune", action="store_true", help="also remove those that are not in it")
    actions.add_parser("export", help="the streams that were added at run time, without passwords, for `apply`")
    streams.set_defaults(run=_streams)


def _add_history(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    history = commands.add_parser("history", help="look up and delete the events that a daemon has kept")
    _add_daemon(history, "watch, or control to delete")
    actions = history.add_subparsers(required=True, metavar="ACTION", dest="action")
    listing = actions.add_parser("list", help="the newest events, a line of JSON each")
    listing.add_argument("--limit", type=_positive, default=100, metavar="N", help="so many at most (default: 100)")
    deleting = actions.add_parser("delete", help="delete events for good, with their pictures")
    deleting.add_argument("--all", action="store_true", help="everything that the key is for, without a filter")
    for action in (listing, deleting):
        for name, (_, example) in FILTERS.items():
            action.add_argument(f"--{name}", action="append", default=[], metavar="NAME", help=f"{example}; may repeat")
        for name, (_, meaning) in MOMENTS.items():
            action.add_argument(f"--{name}", metavar="TIME", help=meaning)
    history.set_defaults(run=_history)


def _add_daemon(parser: argparse.ArgumentParser, roles: str) -> None:
    """Which one is asked."""
    parser.add_argument(
        "--url",
        default=os.environ.get("VISAGEDCTL_URL", "http://127.0.0.1:8080"),
        help="where it listens (default: %(default)s, or VISAGEDCTL_URL)",
    )
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        default=os.environ.get("VISAGEDCTL_KEY_FILE"),
        help=f"a file with a key of the role {roles} (default: VISAGEDCTL_KEY_FILE; without one no key is sent)",
    )


def _run(arguments: argparse.Namespace) -> int:
    from daemon.config.load import load

    config = load(arguments.config)
    from daemon.commands.run import main

    return main(config, partial(load, arguments.config))


def _check(arguments: argparse.Namespace) -> int:
    from daemon.config.load import load

    config = load(arguments.config)
    from daemon.commands.check import main

    return main(config, arguments.config, connect=arguments.connect)


def _demo(arguments: argparse.Namespace) -> int:
    from daemon.commands.demo.run import main

    return main(broker=arguments.broker, seconds=arguments.seconds)


def _process(arguments: argparse.Namespace) -> int:
    from daemon.config.load import load

    config = load(arguments.config)
    from daemon.commands.process import main

    return main(arguments.inputs, chain=arguments.chain, draw=arguments.draw, config=config)


def _evaluate(arguments: argparse.Namespace) -> int:
    from daemon.config.load import load

    config = load(arguments.config)
    from daemon.commands.evaluate.run import main

    return main(
        arguments.folders,
        config=config,
        json=arguments.json,
        pictures=arguments.pictures,
        compare=arguments.compare,
        limit=arguments.limit,
        by=arguments.by,
        turn=arguments.turn,
    )


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 1 <= (seconds := float(text)) <= 60:
            return seconds
    raise argparse.ArgumentTypeError(f"expected seconds from 1 to 60, got {text!r}")


def _degrees(text: str) -> tuple[float, ...]:
    try:
        degrees = tuple(float(part) for part in text.split(","))
    except ValueError:
        degrees = ()
    if not degrees or not all(-360 < turn < 360 for turn in degrees):
        raise argparse.ArgumentTypeError(f"expected degrees below 360 with commas between, got {text!r}")
    return degrees


def _models(arguments: argparse.Namespace) -> int:
    config = None
    if arguments.config is not None:
        from daemon.config.load import load

        config = load(arguments.config)
    from daemon.commands.models import main

    return main(arguments.cards, config, json=arguments.json)


def _new_key(arguments: argparse.Namespace) -> int:
    from daemon.commands.keys import new

    return new(arguments.name, arguments.role, arguments.stream, arguments.folder)


def _list_keys(arguments: argparse.Namespace) -> int:
    from daemon.config.load import load

    config = load(arguments.config)
    from daemon.commands.keys import show

    return show(config, json=arguments.json)


def _init(arguments: argparse.Namespace) -> int:
    from daemon.commands.init import Wishes, main

    return main(
        arguments.file,
        Wishes(
            source=arguments.source,
            username=arguments.username,
            password_file=arguments.password_file,
            stream=arguments.stream,
            chain=arguments.chain,
            fps=arguments.fps,
            broker=arguments.broker,
            topic=arguments.topic,
            offline=arguments.offline,
        ),
    )


def _probe(arguments: argparse.Namespace) -> int:
    from daemon.config.load import load

    config = load(arguments.config)
    from daemon.commands.probe import STREAM, main, password_of, with_camera

    password = None if arguments.password_file is None else password_of(arguments.password_file)
    return main(
        with_camera(arguments.source, arguments.username, password).streams[STREAM],
        chain=arguments.chain,
        config=config,
        cameras=arguments.cameras,
        json=arguments.json,
    )


def _find(arguments: argparse.Namespace) -> int:
    from daemon.commands.find import main
    from daemon.commands.probe import password_of

    return main(
        seconds=arguments.seconds,
        interface=arguments.interface,
        host=arguments.host,
        username=arguments.username,
        password=None if arguments.password_file is None else password_of(arguments.password_file),
        json=arguments.json,
    )


def _streams(arguments: argparse.Namespace) -> int:
    from daemon.commands import streams

    client = streams.client_of(arguments.url, arguments.key_file)
    match arguments.action:
        case "list":
            return streams.list_(client, arguments.state, arguments.label, json=arguments.json)
        case "add":
            return streams.add(client, arguments.stream, arguments.assignments)
        case "set":
            return streams.set_(client, arguments.stream, arguments.assignments)
        case "watch":
            return streams.watch(client, arguments.stream, arguments.types)
        case "apply":
            return streams.apply(client, arguments.file, prune=arguments.prune)
        case "export":
            return streams.export(client)
        case "show":
            return streams.show(client, arguments.stream)
        case "remove":
            return streams.remove(client, arguments.stream)
        case "check":
            return streams.check(client, arguments.stream)
        case action:
            return streams.act(client, arguments.stream, action)


def _history(arguments: argparse.Namespace) -> int:
    from daemon.commands import history
    from daemon.commands.streams import client_of

    client, given = client_of(arguments.url, arguments.key_file), vars(arguments)
    wanted = {theirs: given[name] for name, (theirs, _) in {**FILTERS, **MOMENTS}.items() if given[name]}
    if arguments.action == "list":
        return history.list_(client, wanted, arguments.limit)
    return history.delete(client, wanted, everything=arguments.all)


def _sbom(arguments: argparse.Namespace) -> int:
    from daemon.commands.sbom import main

    return main(licences=arguments.licences)


def _schema(arguments: argparse.Namespace) -> int:
    if arguments.of == "config":
        from daemon.commands.schema import reference

        sys.stdout.write(reference())
    elif arguments.of == "markdown":
        from daemon.commands.configuration import page

        sys.stdout.write(page())
    else:
        from daemon.commands.published import shown

        sys.stdout.write(shown(arguments.of))
    return 0


def _register_schemas(arguments: argparse.Namespace) -> int:
    from daemon.commands.register import Registry, register

    registry = Registry(arguments.registry, arguments.user, arguments.password_file)
    for subject, number in register(registry, arguments.compatibility).items():
        sys.stdout.write(f"{subject} {number}\n")
    return 0


def _write_schemas(arguments: argparse.Namespace) -> int:
    from daemon.commands.published import write

    write(arguments.folder)
    return 0


def _completion(arguments: argparse.Namespace) -> int:
    from daemon.commands.completion import script

    sys.stdout.write(script(_parser(), arguments.shell))
    return 0
