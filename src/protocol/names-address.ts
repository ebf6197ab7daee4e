/**
 * Where every host answers questions for "<appliance>.<ensemble>.consort" to its own programs, at port 53. Of the
 * loopback, and of nobody else there: resolvers use 127.0.0.53 and 127.0.0.54.
 */
export const namesAddress = "127.0.77.53";
