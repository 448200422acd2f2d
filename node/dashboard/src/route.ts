import { signal } from '@preact/signals';

/** Where in the page one is: all of it is in the address, after the `#`. */
export interface Route {
  readonly view: string;
  readonly id: string;
  readonly query: URLSearchParams;
}

export const route = signal<Route>(read());

export function follow(): void {
  window.addEventListener('hashchange', () => {
    route.value = read();
  });
}

export function linkTo(
  view: string,
  id = '',
  query: Readonly<Record<string, string>> = {},
): string {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  const tail = asked.size === 0 ? '' : `?${asked.toString()}`;
  return `#/${view}${id === '' ? '' : `/${encodeURIComponent(id)}`}${tail}`;
}

export function goTo(link: string): void {
  location.hash = link;
}

function read(): Route {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  const [view = '', id = ''] = path.split('/', 2);
  return { view: view || 'overview', id: decoded(id), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
