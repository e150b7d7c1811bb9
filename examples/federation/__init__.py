"""A whole federation on one machine: three enterprises, three custodians, a hub and an auditor."""
