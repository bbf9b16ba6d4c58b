/* The program's modes, which its first argument chooses. Each returns the exit code. */
#ifndef MODES_H
#define MODES_H

/* Reads and changes set elements, tables and chains of nf_tables; commands on standard input (rules.c). */
int rules_main(int count, char **words);
/* Reports foreign changes to one table, and changed routes and interfaces (watch.c). */
int watch_main(int count, char **words);
/* Deletes conntrack entries to pods that are no longer targets; commands on standard input (flows.c). */
int flows_main(int count, char **words);
/* Reports the node's links with their routes, and the routes to pods; pods' IPs on standard input (routes.c). */
int routes_main(int count, char **words);
/* Runs a tool with a memory limit (limit.c). */
int limit_main(int count, char **words);

#endif
