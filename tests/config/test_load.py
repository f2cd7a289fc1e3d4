import os
import pickle
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

import configs
from daemon.config.load import load
from daemon.config.model import Config
from daemon.errors import ConfigError
from daemon.kafka.settings import DeadLetterSettings
from processors.registry import PROCESSORS
from sinks import SINKS

Load = Callable[[str], Config]

STDOUT = """
sinks:
  out: {type: stdout}
"""
KAFKA = """
clusters:
  own:
    bootstrap_servers: broker:9092
    sasl:
      username: visaged
      password: hunter2
sinks:
  broker:
    type: kafka
    topic: faces
"""

PORT_AND_REMEDY = (
    "expected a host, or a host and a port of 1 to 65535, after rtsp://; in a user name or password write %2F for /, "
    "%3F for ?, %23 for # and %40 for @"
)


@pytest.fixture(autouse=True)
def no_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith("VISAGED_"):
            monkeypatch.delenv(variable)


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def load_it(text: str) -> Config:
        path = tmp_path / "my.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(path)

    return load_it


def mistakes(load_text: Load, text: str) -> list[str]:
    """The lines of the error, without the folder of the file."""
    with pytest.raises(ConfigError) as error:
        load_text(text)
    return [line[line.index("my.yaml") :] for line in str(error.value).splitlines()]


class TestWhatLoads:
    def test_nothing_is_the_defaults(self, load_text: Load) -> None:
        assert load(None) == load_text("") == load_text("# nothing\n") == load_text("{}")
        assert (load(None).http is not None, load(None).streams, load(None).sinks) == (True, {}, {})

    def test_values_of_a_file(self, load_text: Load) -> None:
        config = load_text(
            """
            log: {level: debug}
            engine: {workers: 3}
            http: {port: 8081}
            processors:
              face_detector: {smallest_face: 20}
            streams:
              door:
                source: rtsp://user:hunter2@door/1
                chain: [face-detector]
                sinks: [out]
                weight: 2.5
              hall: {source: /videos/hall.mp4}
            sinks:
              out: {type: stdout}
              log: {type: file, path: /tmp/log.jsonl}
            """
        )
        assert (config.log.level, config.engine.workers, config.http and config.http.port) == ("debug", 3, 8081)
        door, hall = config.streams["door"], config.streams["hall"]
        assert (door.chain, door.sinks, door.weight) == (("face-detector",), ("out",), 2.5)
        assert (hall.chain, hall.sinks) == (("face-detector", "face-fitter"), None)
        assert config.processor_settings()["face-detector"].model_dump()["smallest_face"] == 20

    def test_settings_of_every_processor(self, load_text: Load) -> None:
        settings = load_text("").processor_settings()
        assert {name: type(value) for name, value in settings.items()} == {
            name: cls.Settings for name, cls in PROCESSORS.items()
        }

    def test_http_off(self, load_text: Load) -> None:
        assert load_text(STDOUT + "http: null\nstreams: {door: {source: a.mp4}}").http is None

    @pytest.mark.parametrize("name", sorted(path.name for path in Path(configs.__path__[0]).glob("*.yaml")))
    def test_every_shipped_file(self, name: str) -> None:
        load(Path(configs.__path__[0]) / name)

    def test_overrides_win_over_the_file_and_the_environment_over_both(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "my.yaml"
        path.write_text("http: {port: 1, host: 0.0.0.0, open: true, share: 0.3}")
        monkeypatch.setenv("VISAGED_HTTP__SHARE", "0.6")
        http = load(path, {"http": {"port": 2, "share": 0.4}}).http
        assert http is not None
        assert (http.host, http.port, http.share) == ("0.0.0.0", 2, 0.6)  # noqa: S104


class TestWhatIsPutIn:
    def test_variables_and_files(self, load_text: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("hunter${2}\n")
        monkeypatch.setenv("DOOR", "rtsp://door")
        monkeypatch.setenv("PORT", "8081")
        config = load_text(
            f"""
            http: {{port: "${{PORT}}"}}
            streams:
              door:
                source: ${{DOOR}}/${{PORT}}/$${{DOOR}}/$PORT
                username: me
                password: ${{file:{tmp_path}/secret}}
            """
            + textwrap.indent(STDOUT, " " * 12)
        )
        assert config.http is not None
        assert config.http.port == 8081
        assert config.streams["door"].source == "rtsp://door/8081/${DOOR}/$PORT"
        assert config.streams["door"].address == "rtsp://me:hunter%24%7B2%7D@door/8081/${DOOR}/$PORT"

    def test_a_password_s_file(self, load_text: Load, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("hunter2\n")
        config = load_text(
            KAFKA.replace("password: hunter2", f"password_file: {tmp_path}/secret")
            + f"streams: {{door: {{source: rtsp://door/1, username: me, password_file: {tmp_path}/secret}}}}"
        )
        sasl = config.clusters["own"].sasl
        assert sasl is not None
        assert sasl.password.get_secret_value() == "hunter2"
        assert config.streams["door"].address == "rtsp://me:hunter2@door/1"

    def test_a_password_s_file_is_read_again(self, load_text: Load, tmp_path: Path) -> None:
        """As at a camera's next connection, also in a process of its own."""
        (tmp_path / "secret").write_text("first")
        config = load_text(
            f"defaults: {{username: me, password_file: {tmp_path}/secret}}\nstreams: {{door: {{source: rtsp://door/1}}}}\n"
            + "sinks: {out: {type: stdout}}"
        )
        elsewhere = pickle.loads(pickle.dumps(config.streams["door"]))  # noqa: S301  # our own
        for now in ("second", "third"):
            (tmp_path / "secret").write_text(now)
            for door in (config.streams["door"], elsewhere):
                assert door.address == f"rtsp://me:{now}@door/1"
        (tmp_path / "secret").unlink()
        assert elsewhere.address == "rtsp://me:third@door/1"
        assert "third" not in f"{elsewhere!r} {elsewhere.model_dump()} {elsewhere.model_dump_json()}"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("http:\n  port: ${NOT_SET}", "my.yaml:2: http.port: the variable NOT_SET is not set"),
            ("http:\n  host: a${", "my.yaml:2: http.host: expected a } after ${ ($${ stands for ${ itself)"),
            (
                "http:\n  host: ${a b}",
                "my.yaml:2: http.host: expected ${NAME} of a variable or ${file:PATH} ($${ stands for ${ itself)",
            ),
            (
                "http:\n  host: ${file:/nowhere}",
                "my.yaml:2: http.host: cannot read /nowhere: No such file or directory",
            ),
            (
                KAFKA.replace("password: hunter2", "password_file: /nowhere"),
                "my.yaml:7: clusters.own.sasl.password_file: cannot read /nowhere: No such file or directory",
            ),
            (
                KAFKA.replace("password: hunter2", "password: a\n      password_file: b"),
                "my.yaml:8: clusters.own.sasl.password_file: expected password or password_file, got both",
            ),
            ("http:\n  password_file: /nowhere", "my.yaml:2: http.password_file: unknown key"),
        ],
    )
    def test_mistakes(self, load_text: Load, text: str, expected: str) -> None:
        (mistake,) = mistakes(load_text, text)
        assert mistake.startswith(expected)

    @pytest.mark.parametrize(
        "text",
        [
            "http: {port: '${SECRET}'}",
            "sinks: {a: {type: '${SECRET}'}}",
            "log: {level: '${SECRET}'}",
            STDOUT + "streams: {door: {source: '${SECRET}://door/1'}}",
            STDOUT + "streams: {door: {source: a.mp4, chain: ['${SECRET}']}}",
            STDOUT + "streams: {door: {source: a.mp4, sinks: ['${SECRET}']}}",
            KAFKA.replace("broker:9092", "${SECRET}"),
            KAFKA.replace("topic: faces", "topic: faces\n    cluster: ${SECRET}"),
            "sinks: {a: {type: file, path: '/${SECRET}'}, b: {type: file, path: '/${SECRET}'}}",
        ],
    )
    def test_what_was_put_in_is_not_shown(self, load_text: Load, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        found = "\n".join(mistakes(load_text, text))
        assert found
        assert "hunter" not in found

    def test_the_environment_is_taken_as_it_stands(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        monkeypatch.setenv("VISAGED_STREAMS__DOOR__SOURCE", "${SECRET}")
        assert load_text(STDOUT).streams["door"].source == "${SECRET}"
        path = load_text(STDOUT + "streams: {door: {source: a.mp4}}").streams["door"].source
        assert path == "${SECRET}"


class TestDefaults:
    def test_a_stream_s_own_win_key_by_key(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VISAGED_DEFAULTS__WEIGHT", "3")
        config = load_text(
            STDOUT
            + textwrap.dedent(
                """
                defaults:
                  fps: 5
                  chain: [face-detector]
                  username: me
                  tracking: {lost_after: 2, shots: 5}
                streams:
                  a: {source: rtsp://a/1}
                  b: {source: rtsp://b/1, fps: null, chain: [body-detector], tracking: {shots: 1}}
                  c: {source: c.mp4, tracking: null}
                  d: {source: rtsp://them@d/1}
                """
            )
        )
        a, b, c, d = (config.streams[name] for name in "abcd")
        assert (a.fps, a.chain, a.weight, a.address) == (5, ("face-detector",), 3, "rtsp://me@a/1")
        assert (b.fps, b.chain) == (None, ("body-detector",))
        assert b.tracking is not None
        assert (b.tracking.lost_after, b.tracking.shots) == (2, 1)
        assert (c.fps, c.tracking, c.address) == (5, None, "c.mp4")
        assert d.address == "rtsp://them@d/1"

    def test_privacy_is_everybody_s_and_a_mistake_in_it_is_told_once(
        self, load_text: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = STDOUT + textwrap.dedent(
            """
            privacy: {hide: faces, templates: false}
            defaults: {privacy: {templates: true}}
            streams:
              a: {source: a.mp4}
              b: {source: b.mp4, privacy: {hide: null, except: []}}
            clusters: {main: {bootstrap_servers: "127.0.0.1:9092"}}
            consumers: {c: {topics: [t], group: g, privacy: {hide: bodies}}}
            """
        )
        config = load_text(text)
        told = {name: (of.privacy.hide, of.privacy.templates) for name, of in config.streams.items()}
        assert told == {"a": ("faces", True), "b": (None, True)}
        consumer = config.consumers["c"].privacy
        assert (consumer.hide, consumer.templates) == ("bodies", False)
        assert config.defaults.model_dump()["privacy"]["hide"] == "faces"  # for streams that are added at run time
        (mistake,) = mistakes(load_text, text.replace("hide: faces, templates", "hide: face, templates"))
        assert mistake == "my.yaml:5: privacy.hide: input should be 'faces' or 'bodies', got 'face'"
        monkeypatch.setenv("VISAGED_PRIVACY__HIDE", "bodies")
        assert load_text(text).streams["a"].privacy.hide == "bodies"

    def test_their_mistakes_are_told_once(self, load_text: Load) -> None:
        found = mistakes(
            load_text,
            STDOUT + "defaults:\n  fps: 0\n  source: a.mp4\n"
            "streams: {a: {source: a.mp4}, b: {source: b.mp4, fps: -1}, c: {source: c.mp4, fps: 1}}",
        )
        assert [mistake.split(";")[0] for mistake in found] == [
            "my.yaml:5: defaults.fps: input should be greater than 0, got 0",
            "my.yaml:6: defaults.source: unknown key",
            "my.yaml:7: streams.b.fps: input should be greater than 0, got -1",
        ]


def test_keys_of_the_user_s_own(load_text: Load) -> None:
    config = load_text(
        """
        x-camera: &camera {fps: 5, password: "${NOT_SET}"}
        streams:
          x-ray: {<<: *camera, source: rtsp://a/1, username: me, password: x, x-room: 12}
        sinks: {out: {type: stdout, x-note: ours}}
        """
    )
    assert config.streams["x-ray"].fps == 5


def test_a_lower_precision_wants_its_provider(load_text: Load) -> None:
    (mistake,) = mistakes(load_text, "models: {provider: cuda, precision: bf16}")
    assert mistake.endswith("models: expected provider openvino or auto where precision is bf16, got cuda")
    assert load_text("models: {provider: auto, precision: bf16}").models.precision == "bf16"


@pytest.mark.parametrize(
    "text",
    [
        "streams: &a\n  x: *a\n",
        "streams:\n  a: &b\n    <<: *b\n",
        "streams: &a [*a]\n",
        "? &a {x: *a}\n: 1\n",
    ],
)
def test_yaml_that_contains_itself(load_text: Load, text: str) -> None:
    (mistake,) = mistakes(load_text, text)
    assert "not YAML that can be read: it contains itself" in mistake


@pytest.mark.parametrize("text", ["a: " + "[" * 5000, "a: 2026-13-45"])
def test_yaml_that_its_reader_fails_at(load_text: Load, text: str) -> None:
    (mistake,) = mistakes(load_text, text)
    assert "not YAML" in mistake


class TestEnvironment:
    @pytest.mark.parametrize("name", ["my-cluster", "My Cluster", "MY_CLUSTER", "my.cluster"])
    def test_names_of_the_file_s_choice(self, load_text: Load, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv("VISAGED_CLUSTERS__MY_CLUSTER__SASL__PASSWORD", "from the environment")
        config = load_text(KAFKA.replace("own", f'"{name}"').replace("      password: hunter2\n", ""))
        sasl = config.clusters[name].sasl
        assert sasl is not None
        assert sasl.password.get_secret_value() == "from the environment"
        assert list(config.clusters) == [name]

    @pytest.mark.parametrize("variable", ["VISAGED_HTTP__PORT", "visaged_http__port"])
    def test_it_wins_over_the_file(self, load_text: Load, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv(variable, "8081")
        http = load_text("http: {port: 1, host: 0.0.0.0, open: true}").http
        assert http is not None
        assert (http.host, http.port) == ("0.0.0.0", 8081)  # noqa: S104

    def test_a_secret(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VISAGED_CLUSTERS__OWN__SASL__PASSWORD", "from the environment")
        sasl = load_text(KAFKA).clusters["own"].sasl
        assert sasl is not None
        assert sasl.password.get_secret_value() == "from the environment"

    def test_a_list_and_a_section_are_json(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VISAGED_STREAMS__DOOR__CHAIN", '["face-detector"]')
        monkeypatch.setenv("VISAGED_HTTP", '{"port": 8081}')
        config = load_text(STDOUT + "streams: {door: {source: a.mp4}}")
        assert config.streams["door"].chain == ("face-detector",)
        assert config.http is not None
        assert config.http.port == 8081

    def test_a_number_of_a_few(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VISAGED_STREAMS__DOOR__MOUNTED", "270")
        config = load_text(STDOUT + "streams: {door: {source: a.mp4, mounted: 90}}")
        assert config.streams["door"].mounted == 270

    def test_null(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VISAGED_HTTP", "null")
        assert load_text(STDOUT + "http: {port: 1}\nstreams: {door: {source: a.mp4}}").http is None

    @pytest.mark.parametrize(
        ("variable", "value", "expected"),
        [
            ("VISAGED_HTTP__PORT", "abc", "expected a whole number, got 'abc'$"),
            ("VISAGED_HTTP__PROT", "1", r"unknown key; did you mean port\?"),
            ("VISAGED_HTPP__PORT", "1", r"unknown key; did you mean http\?"),
            ("VISAGED_CONFIG", "my.yaml", "unknown key; expected one of log, engine, "),
            ("VISAGED_STOP_TIMEOUT__SECONDS", "1", "unknown key$"),
            ("VISAGED_SINKS__BROKER__TOPIC", "a b", "string should match pattern .*, got 'a b'"),
            ("VISAGED_CLUSTERS__OWN__SASL", "hunter2", "expected a mapping, got text$"),
        ],
    )
    def test_a_mistake_is_named_by_its_variable(
        self, load_text: Load, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(ConfigError, match=f"^{variable}: {expected}"):
            load_text(KAFKA)

    def test_json_that_is_none(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VISAGED_STREAMS", "hunter2")
        with pytest.raises(ConfigError, match=r'VISAGED_ .*"streams".*JSON') as error:
            load_text("")
        assert "hunter2" not in str(error.value)


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("http:\n  prot: 1", "my.yaml:2: http.prot: unknown key; did you mean port?"),
            ("\nhtpp: {port: 1}", "my.yaml:2: htpp: unknown key; did you mean http?"),
            ("log: {port: 1}", "my.yaml:1: log.port: unknown key; did you mean format?"),
            (
                "processors: {face-detector: {}}",
                "my.yaml:1: processors.face-detector: unknown key; did you mean face_detector?",
            ),
            (
                "processors:\n  face_detector:\n    smalest_face: 3",
                "my.yaml:3: processors.face_detector.smalest_face: unknown key; did you mean smallest_face?",
            ),
            (
                KAFKA.replace("username", "usrname"),
                "my.yaml:6: clusters.own.sasl.usrname: unknown key; did you mean username?",
            ),
            ("http:\n  port: 1\n  port: 2", "my.yaml:3: http.port: stands here a second time, after line 2"),
            ("http: {}\nlog: {}\nhttp: {}", "my.yaml:3: http: stands here a second time, after line 1"),
            ("http:\n  port: 99999", "my.yaml:2: http.port: input should be less than or equal to 65535, got 99999"),
            ("engine: {workers: many}", "my.yaml:1: engine.workers: expected a whole number, got 'many'"),
            ("log: {level: loud}", "my.yaml:1: log.level: input should be 'debug', 'info', 'warning' or 'error', got"),
            ("http: [1]", "my.yaml:1: http: expected a mapping, got a list"),
            ("stop_timeout: .nan", "my.yaml:1: stop_timeout: input should be greater than 0, got nan"),
            ("- http", "my.yaml: expected a mapping of settings, got a list"),
            ("1: 2", "my.yaml: 1: expected a name, got a number"),
            (
                "http:\n  host: 0.0.0.0",
                "my.yaml:2: http.host: expected a loopback address (127.0.0.1, ::1, localhost), or keys (`visaged keys "
                "new`), or `open: true`, which lets everyone in, got 0.0.0.0 without keys",
            ),
            (
                "http:\n  keys:\n    door: {sha256: vis_0123abcd_secret, roles: [query]}",
                "my.yaml:3: http.keys.door.sha256: expected the 64 hexadecimal digits that `visaged keys new` prints, "
                "got other text",
            ),
            (
                "http:\n  keys:\n    door: {sha256: '" + "0" * 64 + "', roles: [queries]}",
                "my.yaml:3: http.keys.door.roles.0: input should be 'query', 'metrics', 'watch', 'templates' or "
                "'control', got 'queries'",
            ),
            (
                "http:\n  keys:\n    'a:b': {sha256: '" + "0" * 64 + "', roles: [query]}",
                "my.yaml:2: http.keys: expected a name of ",
            ),
            (
                "http:\n  keys: {a: &a {sha256: '" + "0" * 64 + "', roles: [query]}, b: *a}",
                "my.yaml:2: http.keys: expected a key of its own for b, got that of a",
            ),
            (
                "http:\n  tls: {certificate: /nowhere/c.pem, key: k.pem}",
                "my.yaml:2: http.tls: cannot read /nowhere/c.pem: No such file or directory",
            ),
            ("http:\n  port: [", "my.yaml:2: not YAML: expected the node content"),
            ("http: null", "my.yaml: streams: expected a stream where http is null"),
            (
                "sinks:\n  out: {type: kafak}",
                "my.yaml:2: sinks.out.type: unknown type kafak; did you mean kafka?",
            ),
            ("sinks:\n  out: stdout", "my.yaml:2: sinks.out: expected a mapping, got text"),
            ("streams: {door: null}", "my.yaml:1: streams.door: expected a mapping, got nothing"),
            (
                "sinks:\n  out: {path: a}",
                "my.yaml:2: sinks.out.type: expected one of kafka, file, stdout, webhook, mqtt, got nothing",
            ),
            ("sinks:\n  out:\n    type: file", "my.yaml:2: sinks.out.path: expected a value, got nothing"),
        ],
    )
    def test_place_key_expectation_and_what_came(self, load_text: Load, text: str, expected: str) -> None:
        found = mistakes(load_text, text)
        assert any(line.startswith(expected) for line in found), found

    @pytest.mark.parametrize(
        ("stream", "expected"),
        [
            ("source: ftp://door/1", "source: expected rtsp://, rtsps://, http://, https:// or a path, got ftp://"),
            (
                "source: rstp://door/1",
                "source: expected rtsp://, rtsps://, http://, https:// or a path, got rstp://; did you mean rtsp://?",
            ),
            ("source: ''", "source: string should have at least 1 character"),
            ("source: a.mp4, chain: []", "chain: expected a processor at least, got none"),
            ("source: a.mp4, chain: null", "chain: expected a list, got nothing"),
            (
                "source: a.mp4, chain: [face-detektor]",
                "chain: unknown processor face-detektor; did you mean face-detector?",
            ),
            ("source: a.mp4, chain: [face-fitter]", "chain: face-fitter needs face-detector before it"),
            ("source: a.mp4, chain: [face-fitter, face-detector]", "chain: face-fitter needs face-detector before it"),
            ("source: a.mp4, chain: [body-detector, face-fitter]", "chain: face-fitter needs face-detector before it"),
            (
                "source: a.mp4, chain: [face-detector, age-estimator]",
                "chain: age-estimator needs face-fitter before it",
            ),
            (
                "source: a.mp4, chain: [face-detector, face-fitter, quality-assessment-estimator]",
                "chain: quality-assessment-estimator needs emotion-estimator, mask-estimator before it",
            ),
            (
                "source: a.mp4, chain: [face-detector, face-detector]",
                "chain: expected each processor once, got face-detector 2 times",
            ),
            ("source: 'rtsp:///stream1'", "source: expected a host after rtsp://, got 'rtsp:///stream1'"),
            ("source: 'rtsp://'", "source: expected a host after rtsp://, got 'rtsp://"),
            *(
                (
                    f"source: 'rtsp://user:{password}@127.0.0.1/a'",
                    f"source: {PORT_AND_REMEDY}, got 'rtsp://***@127.0.0.1/a'",
                )
                for password in ("pa/ss", "pa?ss", "pa#ss")
            ),
            ("source: 'rtsp:/user:pa/ss@door/a'", f"source: {PORT_AND_REMEDY}, got 'rtsp://***@door/a'"),
            ("source: 'rtsp://user:secret@[::1/a'", f"source: {PORT_AND_REMEDY}, got 'rtsp://***'"),
            ("source: 'rtsp://door:99999/a'", f"source: {PORT_AND_REMEDY}, got 'rtsp://***'"),
            ("source: rtsp://door/a, password: x", "expected a username beside the password, got a password alone"),
            ("source: 'rtsp://a:b@door/a', username: c", "expected the login in source or in username and password"),
            ("source: a.mp4, username: a", "expected username and password beside a camera's address, got them"),
            ("source: a.mp4, hardware: bogus", "hardware: input should be 'amf', 'cuda', "),
            ("source: a.mp4, motion: yes", "motion: expected a mapping, got true"),
            ("source: a.mp4, fps: fast", "fps: expected a number, got 'fast'"),
            ("source: a.mp4, isolate: 3", "isolate: expected true or false, got 3"),
            ("source: a.mp4, topic: 20", "topic: expected text (a number in quotes), got 20"),
            ("source: a.mp4, sinks: [ouf]", "sinks: unknown sink ouf; did you mean out?"),
            ("source: a.mp4, window: 0", "window: input should be greater than or equal to 1, got 0"),
            ("source: a.mp4, transport: quic", "transport: input should be 'tcp' or 'udp', got 'quic'"),
            ("chain: [face-detector]", "source: expected a value, got nothing"),
        ],
    )
    def test_a_stream(self, load_text: Load, stream: str, expected: str) -> None:
        (mistake,) = mistakes(load_text, STDOUT + f"streams:\n  door: {{{stream}}}")
        assert mistake.startswith((f"my.yaml:5: streams.door.{expected}", f"my.yaml:5: streams.door: {expected}"))

    @pytest.mark.parametrize(
        ("tracking", "expected"),
        [
            ("per: {age-estimate: track}", "per: age-estimate is not in the chain; did you mean age-estimator?"),
            ("per: {face-fiter: frame}", "per: face-fiter is not in the chain; did you mean face-fitter?"),
            ("per: {face-detector: track}", "per: expected face-detector per frame, auto or number of frames, got tr"),
            (
                "per: {face-fitter: 5}",
                "per: expected face-fitter per frame or track, got 5: what it finds is else",
            ),
            ("per: {age-estimator: auto}", "per: expected auto for a detector, got it for age-estimator"),
            (
                "per: {face-fitter: track}",
                "per: where what runs more often goes first, emotion-estimator needs face-fitter before it",
            ),
            (
                "per: {mask-estimator: track, emotion-estimator: track, quality-assessment-estimator: 3}",
                "per: where what runs more often goes first, quality-assessment-estimator needs emotion-",
            ),
            (
                "per: {quality-assessment-estimator: frame}",
                "per: where what runs more often goes first, quality-assessment-estimator needs mask-estimator before",
            ),
            (
                "per: {age-estimator: 1}",
                "per.age-estimator: expected frame, track, auto, or a number of frames of 2 or more, got 1",
            ),
            ("shots: 0", "shots: input should be greater than or equal to 1, got 0"),
            ("lost_after: 0", "lost_after: input should be greater than 0, got 0"),
            ("events: {topic: a b}", "events.topic: string should match pattern"),
            ("event: {}", "event: unknown key; did you mean events?"),
        ],
    )
    def test_tracking(self, load_text: Load, tracking: str, expected: str) -> None:
        estimators = "age-estimator, mask-estimator, emotion-estimator, quality-assessment-estimator"
        stream = f"source: a.mp4, chain: [face-detector, face-fitter, {estimators}], tracking: {{{tracking}}}"
        found = mistakes(load_text, STDOUT + f"streams:\n  door: {{{stream}}}")
        assert any(line.startswith(f"my.yaml:5: streams.door.tracking.{expected}") for line in found), found

    def test_tracking_of_a_chain_that_is_wrong_itself(self, load_text: Load) -> None:
        stream = "source: a.mp4, chain: [face-detektor, age], tracking: {per: {age: track, face-detektor: 3}}"
        found = mistakes(load_text, STDOUT + f"streams:\n  door: {{{stream}}}")
        assert {line.split(": ", 3)[1] for line in found} == {"streams.door.chain"}

    @pytest.mark.parametrize(
        ("regions", "expected"),
        [
            ("include: [[[0, 0], [1, 1]]]", ["include.0: expected 3 or more, got 2"]),
            (
                "exclude: [[[0, 0], [1, 1], [2, 3]]]",
                ["exclude.0: expected points in shares of the picture (0 to 1), not in pixels, got 2"],
            ),
            ("include: [[[0, 0], [1, 0, 0], [0, 1]]]", ["include.0.1: expected 2 at most, got 3"]),
            (
                "include: [[[0, 0], [640, 0], [640, 480]]]",
                ["include.0: expected points in shares of the picture (0 to 1), not in pixels, got 640"],
            ),
            (
                "include: [[[0, 0], [1, -0.5], [0, .nan]]]",
                ["include.0: expected points in shares of the picture (0 to 1), not in pixels, got -0.5"],
            ),
            (
                "include: [[[0, 0], [1, 1], [1, 0], [0, 1]]]",
                ["include.0: expected corners in their order round the polygon, got sides that cross"],
            ),
            ("outside: []", ["outside: unknown key; expected one of include, exclude"]),
        ],
    )
    def test_regions(self, load_text: Load, regions: str, expected: list[str]) -> None:
        found = mistakes(load_text, STDOUT + f"streams:\n  door: {{source: a.mp4, regions: {{{regions}}}}}")
        assert found == [f"my.yaml:5: streams.door.regions.{line}" for line in expected]

    @pytest.mark.parametrize(
        ("places", "expected"),
        [
            (
                "zones: [{name: a, polygon: [[0, 0], [1, 1]]}]",
                "zones.0.polygon: expected 3 or more, got 2",
            ),
            ("zones: [{polygon: [[0, 0], [1, 0], [0, 1]]}]", "zones.0.name: expected a value, got nothing"),
            (
                "zones: [{name: 'a,b', polygon: [[0, 0], [1, 0], [0, 1]]}]",
                "zones.0.name: expected a name without commas, control characters and blanks at its ends, got 'a,b'",
            ),
            (
                "zones: [{name: a, polygon: [[0, 0], [1, 0], [0, 1]]}, {name: a, polygon: [[0, 0], [1, 0], [0, 1]]}]",
                "zones: expected names of their own, got a more than once",
            ),
            (
                "zones: [{name: a, polygon: [[0, 0], [1, 0], [0, 1]], classes: [face, body]}]",
                "zones.0.classes: expected a class that a detector of the chain finds, got body",
            ),
            (
                "zones: [{name: a, polygon: [[0, 0], [1, 0], [0, 1]], loitering: 5}]",
                "zones.0.loitering: expected tracking.events beside loitering, got none",
            ),
            (
                "lines: [{name: a, points: [[0, 0], [1, 0]], directions: [in, out]}]",
                "lines: expected tracking beside lines, got none: who crosses a line is known of tracks alone",
            ),
            (
                "tracking: {}, lines: [{name: a, points: [[0, 0]], directions: [in, out]}]",
                "lines.0.points: expected 2 or more, got 1",
            ),
            (
                "tracking: {}, lines: [{name: a, points: [[0, 0], [1, 0], [1, 0]], directions: [in, out]}]",
                "lines.0.points: expected points that differ from those before them, got the same point twice in a row",
            ),
            (
                "tracking: {}, lines: [{name: a, points: [[0, 0], [1, 0]], directions: [in, in]}]",
                "lines.0.directions: expected two names, got the same twice",
            ),
        ],
    )
    def test_places(self, load_text: Load, places: str, expected: str) -> None:
        found = mistakes(load_text, STDOUT + f"streams:\n  door: {{source: a.mp4, {places}}}")
        assert found == [f"my.yaml:5: streams.door.{expected}"]

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (
                "privacy: {hide: faces}, chain: [body-detector], image: full",
                "chain: expected face-detector where privacy.hide is faces and image wants pictures, got none: nobody "
                "would know whom to hide",
            ),
            (
                "privacy: {hide: bodies}, tracking: {events: {image: true}}",
                "chain: expected body-detector where privacy.hide is bodies and tracking.events.image wants pictures, "
                "got none: nobody would know whom to hide",
            ),
            (
                "privacy: {templates: false}, chain: [face-detector, face-fitter, template-extractor]",
                "chain: expected no template-extractor where privacy.templates is false, got it",
            ),
            ("privacy: {except: [a]}", "privacy.except: expected hide beside except, got none"),
            ("privacy: {hide: faces, except: [b]}", "privacy.except: unknown zone b; expected one of a"),
            ("privacy: {hide: everybody}", "privacy.hide: input should be 'faces' or 'bodies', got 'everybody'"),
        ],
    )
    def test_privacy(self, load_text: Load, settings: str, expected: str) -> None:
        zones = "zones: [{name: a, polygon: [[0, 0], [1, 0], [0, 1]]}]"
        found = mistakes(load_text, STDOUT + f"streams:\n  door: {{source: a.mp4, {settings}, {zones}}}")
        assert found == [f"my.yaml:5: streams.door.{expected}"]

    @pytest.mark.parametrize(("sinks", "key"), [("", "door"), (", sinks: []", "door.sinks")])
    def test_a_stream_without_a_sink_is_watched_over_http(self, load_text: Load, sinks: str, key: str) -> None:
        streams = f"streams: {{door: {{source: a.mp4{sinks}}}}}\n"
        assert load_text(streams).streams["door"].source == "a.mp4"
        (mistake,) = mistakes(load_text, streams + "http: null")
        assert mistake == f"my.yaml:1: streams.{key}: expected a sink to send its documents to, got no sinks"

    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            ("history: {}", ": history: expected a `state_dir` in which it is kept, got none"),
            (
                "history: {}\nstate_dir: s\nhttp: null",
                ": history: expected `http`, by which alone it can be read and deleted, got http: null",
            ),
            (
                "history: {}\nstate_dir: s\nsinks: {history: {type: stdout}}",
                ": sinks.history: expected another name, as `history` is shown among the sinks, got history",
            ),
            ("history: {bytes: 10}\nstate_dir: s", ": history.bytes: input should be greater than or equal to 1000000"),
            ("http: {public_url: 'https://a.example/'}", ": http.public_url: string should match pattern"),
        ],
    )
    def test_a_history(self, load_text: Load, others: str, expected: str) -> None:
        assert any(expected in mistake for mistake in mistakes(load_text, others))

    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            ("traces: {}", ": traces.endpoint: expected a value, got nothing"),
            (
                "traces: {endpoint: 'http://a:secret@b'}",
                ": traces.endpoint: expected a URL without a login (put it into `headers`, as Authorization), got one "
                "with",
            ),
            (
                "traces: {endpoint: 'http://a', headers: {Content-Type: b}}",
                ": traces.headers: expected other headers, got content-type, which are set by the protocol",
            ),
            (
                "traces: {endpoint: 'http://a'}\nsinks: {traces: {type: stdout}}",
                ": sinks.traces: expected another name, as `traces` is shown among the sinks, got traces",
            ),
        ],
    )
    def test_traces(self, load_text: Load, others: str, expected: str) -> None:
        assert [line[line.index(":", 8) :] for line in mistakes(load_text, others)] == [expected]

    def test_traces_without_the_extra(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry.proto", None)
        (line,) = mistakes(load_text, "traces: {endpoint: 'http://a'}")
        assert line.endswith("traces: expected the extra `otel`, which pip install 'visaged[otel]' installs, got none")

    @pytest.mark.parametrize("history", ["", "history: {shots: null}\nstate_dir: s\n"])
    def test_where_no_picture_is_kept_none_has_a_url(self, load_text: Load, history: str) -> None:
        tracking = "tracking: {events: {image_url: true}}"
        text = f"{history}{STDOUT}streams: {{door: {{source: a.mp4, {tracking}}}}}"
        (mistake,) = mistakes(load_text, text)
        assert "streams.door.tracking.events.image_url: expected a stream, and `history` with `shots` in" in mistake
        kept = load_text("history: {}\nstate_dir: s\n" + text.removeprefix(history))
        assert kept.history is not None
        assert (kept.history.days, kept.history.bytes) == (7, 1_000_000_000)
        consumer = f"clusters: {{a: {{bootstrap_servers: 'b:1'}}}}\nconsumers: {{c: {{topics: [in], {tracking}}}}}"
        (mistake,) = mistakes(load_text, f"history: {{}}\nstate_dir: s\n{STDOUT}{consumer}")
        assert "consumers.c.tracking.events.image_url: expected a stream, and `history`" in mistake

    def test_a_stream_may_have_none_of_the_sinks_and_none_that_is_not_there(self, load_text: Load) -> None:
        assert load_text(STDOUT + "streams: {door: {source: a.mp4, sinks: []}}").streams["door"].sinks == ()
        (mistake,) = mistakes(load_text, "streams: {door: {source: a.mp4, sinks: [main]}}")
        assert mistake == "my.yaml:1: streams.door.sinks: unknown sink main"

    @pytest.mark.parametrize(
        ("clusters", "consumer", "expected"),
        [
            ("{}", "topics: [in]", "cluster: expected a cluster (`clusters` has none), got nothing"),
            (
                "{a: &c {bootstrap_servers: 'b:1'}, b: *c}",
                "topics: [in]",
                "cluster: expected one of a, b, got nothing",
            ),
            ("{a: {bootstrap_servers: 'b:1'}}", "topics: [in], cluster: c", "cluster: unknown cluster c; expected"),
            ("{a: {bootstrap_servers: 'b:1'}}", "topics: [a b]", "topics.0: string should match pattern"),
            ("{a: {bootstrap_servers: 'b:1'}}", "topics: []", "topics: expected 1 or more, got 0"),
            (
                "{a: {bootstrap_servers: 'b:1'}}",
                "topics: [in], sinks: []",
                "sinks: expected a sink to send its documents to",
            ),
            ("{a: {bootstrap_servers: 'b:1'}}", "topics: [in], sinks: [ouf]", "sinks: unknown sink ouf; did you"),
            ("{a: {bootstrap_servers: 'b:1'}}", "topics: [in], chain: [face-fitter]", "chain: face-fitter needs"),
            (
                "{a: {bootstrap_servers: 'b:1'}}",
                "topics: [in], delivery: exactly_once",
                "delivery: expected sinks of type kafka for exactly_once, got out of type stdout",
            ),
            (
                "{a: &c {bootstrap_servers: 'b:1'}, b: *c}",
                "topics: [in], cluster: b, sinks: [k], delivery: exactly_once",
                "delivery: expected sinks in the consumer's cluster for exactly_once, got k",
            ),
        ],
    )
    def test_a_consumer(self, load_text: Load, clusters: str, consumer: str, expected: str) -> None:
        sinks = "{out: {type: stdout}, k: {type: kafka, topic: t, cluster: a}}"
        found = mistakes(load_text, f"clusters: {clusters}\nsinks: {sinks}\nconsumers:\n  c: {{{consumer}}}")
        own = next(line for line in found if line.startswith("my.yaml:4: consumers.c."))
        assert own.removeprefix("my.yaml:4: consumers.c.").startswith(expected)

    @pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
    def test_tracks_of_frames_from_kafka(self, load_text: Load, delivery: str) -> None:
        consumer = load_text(
            f"""
            clusters: {{a: {{bootstrap_servers: 'b:1'}}}}
            consumers: {{c: {{topics: [in], delivery: {delivery}, tracking: {{events: {{}}}}}}}}
            sinks: {{k: {{type: kafka, topic: out}}}}
            """
        ).consumers["c"]
        assert consumer.tracking is not None

    @pytest.mark.parametrize("cluster", ["", ", cluster: a"])
    def test_exactly_once_to_kafka_in_its_cluster(self, load_text: Load, cluster: str) -> None:
        consumer = load_text(
            f"""
            clusters: {{a: {{bootstrap_servers: 'b:1'}}}}
            consumers: {{c: {{topics: [in], delivery: exactly_once{cluster}}}}}
            sinks: {{k: {{type: kafka, topic: out}}}}
            http: null
            """
        ).consumers["c"]
        assert consumer.delivery == "exactly_once"

    @pytest.mark.parametrize(
        ("first", "second", "said"),
        [
            (
                "compression: none",
                "compression: zstd",
                "compression a: none, b: zstd",
            ),
            ("compression: zstd", "linger: 0.01", "compression a: zstd, b: lz4"),
            ("linger: 0.5", "linger: 0", "linger a: 0.5, b: 0.0"),
            ("idempotent: false", "linger: 0.01", "idempotent a: false, b: true"),
        ],
    )
    def test_sinks_that_one_producer_cannot_serve(self, load_text: Load, first: str, second: str, said: str) -> None:
        text = f"""
            clusters: {{c: {{bootstrap_servers: 'b:1'}}}}
            consumers: {{c: {{topics: [in], delivery: DELIVERY}}}}
            sinks:
              a: {{type: kafka, topic: a, {first}}}
              b: {{type: kafka, topic: b, {second}}}
            """
        (found,) = mistakes(load_text, text.replace("DELIVERY", "exactly_once"))
        setting, got = said.split(maxsplit=1)
        expected = f"expected the same {setting} in all sinks for exactly_once, got {got}"
        assert found.endswith(f"consumers.c.delivery: {expected}")
        load_text(text.replace("DELIVERY", "at_least_once"))

    def test_dead_letters_of_another_compression_than_the_sinks_of_transactions(self, load_text: Load) -> None:
        text = """
            clusters: {c: {bootstrap_servers: 'b:1'}}
            consumers: {c: {topics: [in], delivery: DELIVERY, dead_letters: {compression: zstd}}}
            sinks: {a: {type: kafka, topic: a}}
            """
        (found,) = mistakes(load_text, text.replace("DELIVERY", "exactly_once"))
        assert found.endswith(
            "expected the same compression in all sinks for exactly_once, got a: lz4, the dead letters: zstd"
        )
        load_text(text.replace("DELIVERY", "at_least_once"))

    def test_dead_letters_by_their_old_name(self, load_text: Load) -> None:
        text = "clusters: {c: {bootstrap_servers: 'b:1'}}\nsinks: {k: {type: kafka, topic: t}}\nconsumers: "
        consumer = load_text(
            text + "{c: {topics: [in], dead_letter_topic: d, dead_letters: {max_record_bytes: 20000}}}"
        )
        assert consumer.consumers["c"].dead_letters == DeadLetterSettings(topic="d", max_record_bytes=20_000)
        (found,) = mistakes(load_text, text + "{c: {topics: [in], dead_letter_topic: d, dead_letters: {topic: e}}}")
        assert found.endswith("expected dead_letters.topic or its old name dead_letter_topic, got both")

    def test_headers_that_documents_have_of_their_own_are_not_passed_on(self, load_text: Load) -> None:
        text = "clusters: {c: {bootstrap_servers: 'b:1'}}\nsinks: {k: {type: kafka, topic: t}}\nconsumers: "
        assert load_text(text + "{c: {topics: [in], headers: [tenant]}}").consumers["c"].headers == ("tenant",)
        for name in ("ce_id", "traceparent", "content-type", "visaged-error"):
            (found,) = mistakes(load_text, text + f"{{c: {{topics: [in], headers: [tenant, {name}]}}}}")
            assert found.endswith(f"expected a header that documents do not have of their own, got '{name}'")

    @pytest.mark.parametrize(
        ("consumers", "expected"),
        [
            ("{c: {topics: [in], dead_letter_topic: in}}", [("consumers.c.dead_letter_topic", "c", "in", "c")]),
            ("{c: {topics: [in], dead_letters: {topic: in}}}", [("consumers.c.dead_letters.topic", "c", "in", "c")]),
            ("{c: {topics: [x, out]}}", [("sinks.k.topic", "c", "out", "c")]),
            ("{c: {topics: [x, out], cluster: same}}", [("sinks.k.topic", "c", "out", "c")]),
            ("{c: {topics: [in], topic: in}}", [("consumers.c.topic", "c", "in", "c")]),
            (
                "{c: {topics: [in], tracking: {events: {topic: in}}}}",
                [("consumers.c.tracking.events.topic", "c", "in", "c")],
            ),
            (
                "{a: {topics: [x], topic: y}, b: {topics: [y], topic: z}, c: {topics: [z], topic: x}}",
                [
                    ("consumers.a.topic", "a", "y", "b"),
                    ("consumers.b.topic", "b", "z", "c"),
                    ("consumers.c.topic", "c", "x", "a"),
                ],
            ),
        ],
        ids=[
            "dead letters",
            "dead letters by their new name",
            "documents",
            "brokers by two names",
            "a topic of its own",
            "events",
            "through others",
        ],
    )
    def test_records_that_would_go_round(
        self, load_text: Load, consumers: str, expected: list[tuple[str, str, str, str]]
    ) -> None:
        second = ", same: {bootstrap_servers: 'b:1'}" if "same" in consumers else ""
        found = mistakes(
            load_text,
            f"""
            consumers: {consumers}
            clusters: {{own: {{bootstrap_servers: 'b:1'}}{second}}}
            sinks: {{k: {{type: kafka, topic: out, cluster: own}}}}
            """,
        )
        assert [line.split(": ", 1)[1] for line in found] == [
            f"{key}: expected a topic that does not lead back to consumer {consumer}, got {topic}, "
            f"which {reader} reads: a record would go round for ever"
            for key, consumer, topic, reader in expected
        ]

    @pytest.mark.parametrize(
        "consumers",
        [
            "{c: {topics: [in], cluster: own, sinks: [k]}}",
            "{c: {topics: [out], cluster: own, sinks: [other]}}",
            "{a: {topics: [in], cluster: own, sinks: [k], image: full}, b: {topics: [out], cluster: own, sinks: [k2]}}",
            "{a: {topics: [in], cluster: own, dead_letter_topic: dead}, b: {topics: [dead], cluster: own}}",
        ],
        ids=["another topic", "another cluster", "one after the other", "dead letters of another"],
    )
    def test_records_that_do_not_go_round(self, load_text: Load, consumers: str) -> None:
        load_text(
            f"""
            consumers: {consumers}
            clusters: {{own: {{bootstrap_servers: 'b:1'}}, other: {{bootstrap_servers: 'b:2'}}}}
            sinks:
              k: {{type: kafka, topic: out, cluster: own}}
              k2: {{type: kafka, topic: end, cluster: own}}
              other: {{type: kafka, topic: out, cluster: other}}
            """
        )

    def test_all_are_listed_at_once(self, load_text: Load) -> None:
        assert mistakes(load_text, "log: {level: loud}\nhttp:\n  port: -1\n  prot: 2\nstop_timeout: 0") == [
            "my.yaml:1: log.level: input should be 'debug', 'info', 'warning' or 'error', got 'loud'",
            "my.yaml:3: http.port: input should be greater than or equal to 0, got -1",
            "my.yaml:4: http.prot: unknown key; did you mean port?",
            "my.yaml:5: stop_timeout: input should be greater than 0, got 0",
        ]

    def test_what_is_wrong_across_entries_is_listed_beside_what_is_wrong_in_others(self, load_text: Load) -> None:
        found = mistakes(
            load_text,
            """
            streams:
              a: {source: a.mp4, chain: []}
              b: {source: a.mp4, chain: [face-fitter]}
              c: {source: a.mp4, chain: [face-detecter, body-detekter]}
              d: {source: a.mp4, sinks: [ouf]}
              e: {source: a.mp4, tracking: {per: {age: track}}, sinks: [file]}
            clusters: {own: {bootstrap_servers: 'nohost,b:1,:2'}}
            consumers:
              f: {topics: [in, bad topic], cluster: owm}
              g: {topics: [in], cluster: owm}
              h: {topics: [in], dead_letter_topic: in}
            sinks:
              file: {type: file}
              k: {type: kafka, topic: out, cluster: owm}
            """,
        )
        assert found == [
            "my.yaml:3: streams.a.chain: expected a processor at least, got none",
            "my.yaml:4: streams.b.chain: face-fitter needs face-detector before it",
            "my.yaml:5: streams.c.chain: unknown processor face-detecter; did you mean face-detector?",
            "my.yaml:5: streams.c.chain: unknown processor body-detekter; did you mean body-detector?",
            "my.yaml:8: clusters.own.bootstrap_servers: expected host:port, got 'nohost'",
            "my.yaml:8: clusters.own.bootstrap_servers: expected host:port, got ':2'",
            "my.yaml:10: consumers.f.topics.1: string should match pattern '^[a-zA-Z0-9._-]{1,249}$', got 'bad topic'",
            "my.yaml:14: sinks.file.path: expected a value, got nothing",
            "my.yaml:6: streams.d.sinks: unknown sink ouf; expected one of k, file",
            "my.yaml:7: streams.e.tracking.per: age is not in the chain; expected one of face-detector, face-fitter",
            "my.yaml:15: sinks.k.cluster: unknown cluster owm; did you mean own?",
            "my.yaml:11: consumers.g.cluster: unknown cluster owm; did you mean own?",
            "my.yaml:12: consumers.h.dead_letter_topic: expected a topic that does not lead back to consumer h, "
            "got in, which h reads: a record would go round for ever",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "streams: {a: {source: a.mp4, sinks: [k]}}\nclusters: {own: {}}\nsinks: {k: {type: kafka, topic: t}}",
            "streams: {a: {source: a.mp4, sinks: [k]}}\nsinks: [k]",
            "http: null\nstreams: {a: {}}",
            STDOUT + "consumers: {a: {topics: [in]}}\nclusters: hunter2",
            STDOUT + "streams: {a: {source: a.mp4, chain: [face-detecter], tracking: {per: {face-fitter: frame}}}}",
            STDOUT + "streams: {a: {source: a.mp4, topic: bad topic}}",
        ],
    )
    def test_nothing_that_only_follows_is_listed(self, load_text: Load, text: str) -> None:
        assert len(mistakes(load_text, text)) == 1

    def test_a_variable_s_mistake_beside_the_file_s(self, load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VISAGED_HTPP__PORT", "1")
        monkeypatch.setenv("VISAGED_STREAMS__DOOR__WINDOW", "0")
        with pytest.raises(ConfigError) as error:
            load_text(STDOUT + "streams: {door: {source: a.mp4}}\nhttp: {prot: 1}")
        assert [line.split(": ")[-2] for line in str(error.value).splitlines()] == [
            "http.prot",
            "VISAGED_STREAMS__DOOR__WINDOW",
            "VISAGED_HTPP__PORT",
        ]

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none\.yaml: No such file or directory"):
            load(tmp_path / "none.yaml")

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00"])
    def test_a_file_that_is_no_text(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "my.yaml"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"my\.yaml: not YAML: "):
            load(path)


@pytest.mark.parametrize(
    "text",
    [
        KAFKA.replace("password: hunter2", "password: [hunter2]"),
        KAFKA.replace("password: hunter2", "password: {value: hunter2}"),
        KAFKA.replace("password", "pasword"),
        KAFKA.replace("password: hunter2", "password: hunter2\n      hunter3"),
        KAFKA.replace("topic: faces", "topic: a b"),
        KAFKA.replace("type: kafka", "type: kafak"),
        KAFKA.replace("sasl:\n      username: visaged\n      password: hunter2", "sasl: hunter2"),
        "sinks: hunter2",
        STDOUT + "streams: {door: rtsp://user:hunter2@door/1}",
        STDOUT + "streams: {door: [rtsp://user:hunter2@door/1]}",
        STDOUT + "streams: {door: {source: [rtsp://user:hunter2@door/1]}}",
        STDOUT + "streams: {door: {source: rtsp://user:hunter2@door/1, window: 0}}",
        STDOUT + "streams: {door: {source: ftp://user:hunter2@door/1}}",
        STDOUT + "streams: {door: {source: rtsp://user:hunter2@door/1, transport: rtsp://user:hunter2@door/1}}",
        STDOUT + "streams: {door: {source: rtsp://user:hunter2@door/1, <<: [1]}}",
        STDOUT + "streams: {door: {source: rtsp://user:hunter2@door/1, sources: rtsp://user:hunter2@door/2}}",
        STDOUT + "streams:\n  door:\n    source: rtsp://user:hunter2@door/1: [",
    ],
)
def test_no_password_in_a_message(load_text: Load, text: str) -> None:
    assert "hunter" not in "\n".join(mistakes(load_text, text))


def test_a_password_of_digits_alone_is_refused_and_not_shown(load_text: Load) -> None:
    (mistake,) = mistakes(load_text, KAFKA.replace("hunter2", "31337"))
    assert mistake == "my.yaml:7: clusters.own.sasl.password: expected text (a number in quotes), got a number"


def test_a_value_under_a_name_like_a_secret_s_is_not_shown(load_text: Load) -> None:
    (mistake,) = mistakes(load_text, STDOUT + "streams: {a: {source: a.mp4, ffmpeg_options: {Auth_Token: 31337}}}")
    assert mistake.endswith("streams.a.ffmpeg_options.Auth_Token: expected text (a number in quotes), got a number")


def test_every_sink_can_be_configured_by_its_type() -> None:
    """SINKS and the union of their settings are written down apart."""
    union = get_args(get_args(Config.model_fields["sinks"].annotation)[1])[0]
    assert {get_args(settings.model_fields["type"].annotation)[0] for settings in get_args(union)} == set(SINKS)


def test_two_sinks_on_one_file(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (mistake,) = mistakes(
        load_text,
        f"""
        sinks:
          a: {{type: file, path: {tmp_path}/a.jsonl}}
          b: {{type: file, path: {tmp_path}/empty/../a.jsonl}}
        """,
    )
    assert mistake == (
        f"my.yaml:4: sinks.b.path: expected a file of its own, got {tmp_path}/empty/../a.jsonl, which sink a writes"
    )
