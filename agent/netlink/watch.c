#include "modes.h"

int watch_main(int count, char **words)
{
	(void)count;
	(void)words;
	return 2;
}
