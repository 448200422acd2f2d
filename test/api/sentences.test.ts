import { expect } from 'chai';
import { AppError } from '../../node/base/errors.ts';
import { readTask } from '../../node/api/submit/read-submission.ts';

/** Goal: a fault says in plain words what the field must be. Method: bodies with one fault each. */
describe('what is wrong with a body', () => {
  const cases: readonly (readonly [string, unknown, string])[] = [
    ['a missing field', {}, '#/type: is missing'],
    ['no object', [], '#: must be an object'],
    ['null', null, '#: must be an object'],
    ['a number for text', { type: 7 }, '#/type: must be text'],
    ['a number too large', { type: 'noop', priority: 101 }, '#/priority: must be 100 at most'],
    ['a number too small', { type: 'noop', priority: 0 }, '#/priority: must be 1 at least'],
    ['a fraction', { type: 'noop', priority: 1.5 }, '#/priority: must be a whole number'],
    ['text for a number', { type: 'noop', timeout_ms: '5' }, '#/timeout_ms: must be a number'],
    ['text for a list', { type: 'noop', dependencies: 'a' }, '#/dependencies: must be an array'],
    ['too many', { type: 'noop', tags: Array(65).fill('a') }, '#/tags: must hold 64 at most'],
    [
      'a word that is none of some',
      { type: 'noop', backoff: { type: 'linear' } },
      '#/backoff/type: must be fixed or exponential',
    ],
    [
      'one of many',
      { type: 'noop', trigger_rule: 'any' },
      '#/trigger_rule: must be all_success, all_done, one_success, one_failed or none_failed',
    ],
    [
      'a label without a key',
      { type: 'noop', labels: { '': 'x' } },
      '#/labels/: must be a key of letters, digits, and . _ / -, 63 at most',
    ],
    ['a field that is not known', { type: 'noop', prio: 1 }, '#/prio: is not a known field'],
    [
      'a wrong time',
      { type: 'noop', run_at: 'soon' },
      '#/run_at: must be an ISO 8601 time with a zone',
    ],
  ];
  for (const [name, body, sentence] of cases) {
    it(`is said in words: ${name}`, () => {
      expect(() => readTask(body, '#'))
        .to.throw(AppError)
        .with.property('message', sentence);
    });
  }
});
