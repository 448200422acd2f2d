import { expect } from 'chai';
import { layersOf } from '../../node/dashboard/src/layers.ts';
import type { Node } from '../../node/dashboard/src/layers.ts';

/** Goal: a graph is drawn so that it can be read. Method: small graphs, and a wide one. */
const node = (id: string, ...dependencies: string[]): Node => ({ id, dependencies });

describe('the layout of a graph', () => {
  it('puts each task after all that it depends on', () => {
    const { places, columns } = layersOf([
      node('c', 'a', 'b'),
      node('a'),
      node('b', 'a'),
      node('d'),
    ]);
    expect(['a', 'b', 'c', 'd'].map((id) => places.get(id)?.column)).to.deep.equal([0, 1, 2, 0]);
    expect(columns).to.equal(3);
  });

  it('puts tasks beside their neighbours, so that edges need not cross', () => {
    const { places } = layersOf([node('a'), node('b'), node('y', 'b'), node('x', 'a')]);
    const lineOf = (id: string): number => places.get(id)?.line ?? Number.NaN;
    expect(Math.sign(lineOf('a') - lineOf('b'))).to.equal(Math.sign(lineOf('x') - lineOf('y')));
  });

  it('leaves out what it does not show, and gives each task a place of its own', () => {
    const { places } = layersOf([node('a', 'elsewhere'), node('b', 'a'), node('c', 'a')]);
    expect(new Set([...places.values()].map((place) => JSON.stringify(place))).size).to.equal(3);
  });

  it('folds a layer that is much higher than the graph is wide', () => {
    const leaves = Array.from({ length: 2000 }, (_, n) => node(`n${String(n)}`, 'root'));
    const { places, columns, lines } = layersOf([node('root'), ...leaves]);
    expect(lines).to.be.at.most(45);
    expect(columns).to.be.greaterThan(40);
    expect(new Set([...places.values()].map((place) => JSON.stringify(place))).size).to.equal(2001);
  });
});
