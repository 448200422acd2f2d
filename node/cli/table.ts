import { oneLine, widthOf } from './terminal.ts';
import type { Paint } from './terminal.ts';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  readonly isRight?: boolean;
  readonly paint?: (row: Row, text: string, paint: Paint) => string;
}

/**
 * Rows as aligned lines, beneath their titles. A table that is printed in parts keeps its columns
 * from the first part, unless a later cell is wider.
 */
export class Table<Row> {
  private readonly columns: readonly Column<Row>[];
  private readonly paint: Paint;
  private readonly widths: number[];
  private hasTitles = false;

  constructor(columns: readonly Column<Row>[], paint: Paint) {
    this.columns = columns;
    this.paint = paint;
    this.widths = columns.map(({ title }) => widthOf(title));
  }

  lines(rows: readonly Row[]): readonly string[] {
    const cells = rows.map((row) => this.columns.map(({ cell }) => oneLine(cell(row))));
    for (const [place, width] of this.widths.entries()) {
      const widest = cells.reduce((most, row) => Math.max(most, widthOf(row[place] ?? '')), 0);
      this.widths[place] = Math.max(width, widest);
    }
    const lines = rows.map((row, at) =>
      this.line(cells[at] ?? [], (column, text) => column.paint?.(row, text, this.paint) ?? text),
    );
    if (this.hasTitles) return lines;
    this.hasTitles = true;
    const titles = this.columns.map(({ title }) => title);
    return [this.line(titles, (_column, text) => this.paint('dim', text)), ...lines];
  }

  private line(
    cells: readonly string[],
    painted: (column: Column<Row>, text: string) => string,
  ): string {
    return this.columns
      .map((column, place) => {
        const text = cells[place] ?? '';
        const padding = ' '.repeat((this.widths[place] ?? 0) - widthOf(text));
        const shown = painted(column, text);
        if (column.isRight === true) return padding + shown;
        return place === this.columns.length - 1 ? shown : shown + padding;
      })
      .join('  ');
  }
}
