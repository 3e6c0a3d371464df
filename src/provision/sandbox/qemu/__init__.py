"""The engine qemu: a node is a virtual machine with a kernel, a disk and a clock of its own."""
