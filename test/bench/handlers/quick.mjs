/** Does nothing: what is left is what a task of a user's own costs. */
export default () => null;
