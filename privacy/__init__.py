"""Pseudonyms, noise, budget, releases and evidence: values in, values out."""
