import type { ComponentChildren, JSX } from 'preact';
import type { Row } from './bodies.ts';
import { useEffect, useRef, useState } from 'preact/hooks';

/** A table of any length: only the rows that can be seen are in the document. */
interface RowsProps<R extends Row> {
  readonly label: string;
  /** The first is the box to select a row with, whose name is not shown. */
  readonly columns: readonly string[];
  readonly rows: readonly R[];
  readonly cellsOf: (row: R) => readonly ComponentChildren[];
  readonly onEnd: () => void;
}

const ROW_PX = 38;
const BEYOND = 6;
const LAST_ROWS = 30;

export function Rows<R extends Row>(props: RowsProps<R>): JSX.Element {
  const { label, columns, rows, cellsOf, onEnd } = props;
  const place = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const from = Math.max(0, Math.floor(top / ROW_PX) - BEYOND);
  const to = Math.min(rows.length, Math.ceil((top + height) / ROW_PX) + BEYOND);
  const onScroll = (event: Event): void => {
    const { scrollTop } = event.currentTarget as HTMLElement;
    // By whole rows: a scroll within one changes nothing that is drawn.
    setTop(Math.floor(scrollTop / ROW_PX) * ROW_PX);
    if (scrollTop + height > (rows.length - LAST_ROWS) * ROW_PX) onEnd();
  };
  return (
    <div
      ref={place}
      class="card rows"
      onScroll={onScroll}
      tabIndex={0}
      role="table"
      aria-label={label}
      aria-rowcount={rows.length + 1}
    >
      <div class="row rowhead" role="row">
        {columns.map((name, at) => (
          <span key={name} role="columnheader">
            {at === 0 ? <span class="unseen">{name}</span> : name}
          </span>
        ))}
      </div>
      <div role="rowgroup" class="rowgroup" style={{ height: `${String(rows.length * ROW_PX)}px` }}>
        {rows.slice(from, to).map((row, at) => (
          <div
            key={row.id}
            class="row"
            role="row"
            aria-rowindex={from + at + 2}
            style={{ transform: `translateY(${String((from + at) * ROW_PX)}px)` }}
          >
            {cellsOf(row).map((cell, column) => (
              <span key={columns[column]} role="cell">
                {cell}
              </span>
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}
