/* What the program can be, by its first argument. Each returns the exit code. */
#ifndef MODES_H
#define MODES_H

/* The set elements, tables and chains of nf_tables; commands on standard input (rules.c). */
int rules_main(int count, char **words);
/* Tells of changes to one table that others made, and of changed routes and interfaces (watch.c). */
int watch_main(int count, char **words);
/* Ends connections that lead elsewhere than their binding; commands on standard input (flows.c). */
int flows_main(int count, char **words);
/* The links, and where they and the pods lead; pods' IPs on standard input (routes.c). */
int routes_main(int count, char **words);
/* Runs a tool with an upper bound of memory (limit.c). */
int limit_main(int count, char **words);

#endif
