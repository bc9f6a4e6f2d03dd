/* A guest's CPU stops for good while the module is loaded: mode=spin burns the host's CPU, mode=halt costs nothing. */
#include <linux/irqflags.h>
#include <linux/module.h>

static char *mode = "spin";
module_param(mode, charp, 0);

static int __init hang_init(void)
{
	local_irq_disable();
	while (mode[0] == 'h')
		asm volatile("cli; hlt");
	for (;;)
		asm volatile("" ::: "memory");
	return 0;
}

module_init(hang_init);
MODULE_LICENSE("GPL");
