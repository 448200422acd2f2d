import { useEffect } from 'preact/hooks';
import { PLACES, isHelpShown } from './frame.tsx';
import { goTo, linkTo, route } from './route.ts';

/** The keys that work everywhere. A view listens to its own beside them. */
let isGoing = false;

export function listenToKeys(): void {
  document.addEventListener('keydown', onKey);
}

export function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  const target = event.target instanceof Element ? event.target : null;
  return target?.closest('input, textarea, select, dialog') != null;
}

/** The keys of one view, as long as it is shown. */
export function useKeys(keys: Readonly<Record<string, () => unknown>>): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (!isTyping(event)) keys[event.key]?.();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  });
}

function onKey(event: KeyboardEvent): void {
  if (isTyping(event)) return;
  const { key } = event;
  if (isGoing) {
    isGoing = false;
    const place = PLACES.find((each) => each.key === key);
    if (place !== undefined) goTo(linkTo(place.name));
  } else if (key === 'g') isGoing = true;
  else if (key === '?') isHelpShown.value = true;
  else if (key === 'c') goTo(linkTo('new'));
  else if (key === 'j' || key === 'k') step(key === 'j' ? 1 : -1);
  else if (key === '/') {
    event.preventDefault();
    if (route.value.view !== 'tasks') goTo(linkTo('tasks'));
    focusSoon('search');
  }
}

/** As soon as the view that has it is drawn. */
function focusSoon(id: string, looks = 60): void {
  const element = document.getElementById(id);
  if (element !== null) element.focus();
  else if (looks > 0) requestAnimationFrame(() => focusSoon(id, looks - 1));
}

function step(by: number): void {
  const links = [...document.querySelectorAll<HTMLElement>('main a.id')];
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = links[Math.min(links.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}
