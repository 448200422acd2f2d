/** For nodes of tests that have no store to submit to. */
export const noSpawn = (): Promise<never> =>
  Promise.reject(new Error('tasks cannot be added in this test'));
