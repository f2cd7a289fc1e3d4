// Of Preact 10, what the page uses.
export interface VNode { type: unknown; props: unknown; key: unknown }
export type Child = VNode | string | number | boolean | null | undefined | Child[];
export type Ref<T> = { current: T | null };
export function h(type: unknown, props: unknown, ...children: unknown[]): VNode;
export function render(node: Child, parent: Element): void;
