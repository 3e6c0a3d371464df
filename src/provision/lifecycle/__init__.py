"""What each workflow of a living cluster checks and says before a machine is touched; a module has its stem."""
