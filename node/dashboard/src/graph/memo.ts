import type { FunctionComponent, JSX } from 'preact';
import { useMemo } from 'preact/hooks';

/** Draws anew only when something of it has changed, as far as `parts` says: handlers may differ. */
export function memo<Props>(
  draw: (props: Props) => JSX.Element,
  parts: (props: Props) => readonly unknown[],
): FunctionComponent<Props> {
  return (props) => useMemo(() => draw(props), [...parts(props)]);
}
