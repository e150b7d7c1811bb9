"""Exact accounting: quantities, methodology packs, their compiler to integer SQL, contributions and accounts.

Pure: values in, values out. Every figure is an integer or a fraction; the SQL made here runs on `engine`.
"""
