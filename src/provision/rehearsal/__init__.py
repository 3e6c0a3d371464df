"""The operator's own site on sandbox nodes: the same hosts, groups and settings with other addresses."""
