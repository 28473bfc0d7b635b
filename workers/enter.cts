/**
 * What piscina loads first in each worker. It loads workers by `require`, and Node ends the whole process when a thread
 * is ended in the middle of requiring an ES module; ended in the middle of importing one, it only ends.
 */
module.exports = async (task: { readonly workerFile: string }): Promise<unknown> => {
  const lane = (await import(task.workerFile)) as { default: (task: unknown) => unknown };
  return lane.default(task);
};
