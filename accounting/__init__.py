"""Quantities, methodology packs and their compiler to integer SQL, and the account fold: values in, values out."""
