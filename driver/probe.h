/* Tries each step of a start on this machine: `agentfw-driver --probe`. */
#ifndef AGENTFW_PROBE_H
#define AGENTFW_PROBE_H

int probe_main(int argc, char **argv);

#endif
