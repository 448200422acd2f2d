import { expect } from 'chai';
import { TASK_STATUSES } from '../../node/core/task.ts';
import { numbers, texts } from '../../node/store/array-literal.ts';
import { listStatement } from '../../node/store/task-list.ts';

/** Goal: no word of a user ever becomes part of a statement. Method: every combination of filters. */
describe('the statement that is put together', () => {
  it('carries what users say as parameters, in every combination of filters', () => {
    const evil = `'; drop table skein.task; --`;
    for (const status of [null, ...TASK_STATUSES]) {
      for (let filters = 0; filters < 8; filters++) {
        const given = (bit: number): string | null => ((filters & bit) === 0 ? null : evil);
        const { statement, values } = listStatement({
          status,
          type: given(1),
          workflow: given(2),
          tag: given(4),
          limit: 5,
          before: null,
        });
        expect(statement.text).not.to.include('drop table');
        const used = [...statement.text.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n));
        expect(new Set(used)).to.deep.equal(new Set(values.map((_, i) => i + 1)));
      }
    }
  });
});

describe('array literals', () => {
  it('quote what PostgreSQL would read as something else', () => {
    expect(texts(['a', '', 'null', null, '{1,2}', 'say "hi" \\ there', 'x\ny'])).to.equal(
      '{"a","","null",null,"{1,2}","say \\"hi\\" \\\\ there","x\ny"}',
    );
    expect(texts([])).to.equal('{}');
    expect(numbers([1, null, true, -2.5, 1_700_000_000_123])).to.equal(
      '{1,null,true,-2.5,1700000000123}',
    );
  });
});
