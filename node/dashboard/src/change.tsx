import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, reasonOf } from './api.ts';
import type { Method } from './api.ts';
import { Icon } from './icons.tsx';
import type { IconName } from './icons.tsx';
import { Confirm } from './parts.tsx';

/** A button that changes something, and says what came of it. */
export function Change(props: {
  readonly label: string;
  readonly icon?: IconName;
  readonly path: string;
  readonly method?: Method;
  readonly body?: object;
  readonly done: string;
  readonly isPossible?: boolean;
  /** Asked first, where it cannot be taken back. */
  readonly question?: string;
  readonly detail?: string;
  readonly onDone?: () => void;
}): JSX.Element {
  const { label, icon, path, method = 'POST', body, done, question, detail, onDone } = props;
  const [isAsked, setAsked] = useState(false);
  const [told, setTold] = useState('');
  const change = (): void => {
    call(method, path, body).then(
      () => {
        setTold(done);
        onDone?.();
      },
      (thrown: unknown) => setTold(reasonOf(thrown)),
    );
  };
  return (
    <>
      <button
        type="button"
        disabled={props.isPossible === false}
        onClick={() => (question === undefined ? change() : setAsked(true))}
      >
        {icon === undefined ? null : <Icon of={icon} />}
        {label}
      </button>
      <span role="status" class={told === '' ? 'unseen' : 'dim'}>
        {told}
      </span>
      {isAsked ? (
        <Confirm
          question={question ?? ''}
          {...(detail === undefined ? {} : { detail })}
          yes={`Yes, ${label.toLowerCase()}`}
          isGrave={true}
          onAnswer={(isYes) => {
            setAsked(false);
            if (isYes) change();
          }}
        />
      ) : null}
    </>
  );
}
