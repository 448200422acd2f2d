import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Mark } from './icons.tsx';
import { asked, signIn } from './session.ts';

/** Shown instead of a view, where the node asks for a key. */
export function SignIn(): JSX.Element {
  const [text, setText] = useState('');
  const submit = (event: Event): void => {
    event.preventDefault();
    if (text.trim() !== '') signIn(text.trim());
  };
  return (
    <form class="card signin" onSubmit={submit}>
      <Mark />
      <h1>Sign in</h1>
      <p class="dim" role="alert">
        {asked.value}
      </p>
      <label for="key">Key</label>
      <input
        id="key"
        type="password"
        placeholder="skein_…"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="strong">
        Sign in
      </button>
      <small>
        Whoever may make keys makes one with <code>npx skein keys create</code>. It is kept until
        this tab is closed.
      </small>
    </form>
  );
}
