import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { compact } from './format.ts';
import { colours } from './palette.ts';

/** A line over time: one or two series, their latest numbers in words above it. */
export interface Series {
  readonly name: string;
  readonly tone: string;
  readonly values: readonly (number | null)[];
  /** Drawn in dashes, so that two lines are told apart without their colours. */
  readonly isDashed?: boolean;
}

interface ChartProps {
  readonly title: string;
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly format?: (value: number) => string;
}

const HEIGHT = 136;

export function Chart(props: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { title, times, series, format = compact } = props;
  const shape = series.map(({ name }) => name).join();
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = plotOf(element, series, format);
      plot.current.setData([[...times], ...series.map(({ values }) => [...values])]);
    };
    draw();
    const observer = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    observer.observe(element);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', draw);
    return () => {
      scheme.removeEventListener('change', draw);
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData([[...times], ...series.map(({ values }) => [...values])]);
  });
  return (
    <figure class="card chart">
      <figcaption>
        <h2>{title}</h2>
        <span class="legend">
          {series.map(({ name, tone, values, isDashed }) => (
            <span key={name}>
              <i class={`swatch ${tone} ${isDashed === true ? 'dashed' : ''}`} aria-hidden="true" />
              {name} <b>{format(values.findLast((value) => value !== null) ?? 0)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} />
    </figure>
  );
}

/** Hours and minutes, and seconds: a window of ten minutes needs no date. */
function clocks(_plot: uPlot, seconds: number[]): string[] {
  return seconds.map((each) =>
    Number.isInteger(each) ? new Date(each * 1000).toTimeString().slice(0, 8) : '',
  );
}

function plotOf(
  element: HTMLElement,
  series: readonly Series[],
  format: (value: number) => string,
): uPlot {
  const colour = colours();
  const font = '11px ui-sans-serif, "DejaVu Sans Condensed", sans-serif';
  const axis = {
    ...{ font, stroke: colour('dim'), ticks: { show: false }, gap: 6 },
    grid: { stroke: colour('line'), width: 1 },
  };
  return new uPlot(
    {
      ...{ width: element.clientWidth, height: HEIGHT, legend: { show: false } },
      padding: [8, 6, 0, 0],
      cursor: { y: false, points: { show: false } },
      scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.15)] } },
      axes: [
        { ...{ ...axis, size: 24, space: 90 }, grid: { show: false }, values: clocks },
        {
          ...{ ...axis, size: 46, space: 32 },
          values: (_plot, splits) => splits.map((value) => format(value)),
        },
      ],
      series: [
        {},
        ...series.map(({ name, tone, isDashed }, at) => ({
          ...{ label: name, stroke: colour(tone), width: 1.75, points: { show: false } },
          ...(isDashed === true ? { dash: [5, 4] } : {}),
          ...(at === 0 ? { fill: `${colour(tone)}1f` } : {}),
        })),
      ],
    },
    [[], ...series.map(() => [])] as unknown as uPlot.AlignedData,
    element,
  );
}
