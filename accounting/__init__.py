"""Quantities, methodology packs and their compiler to integer SQL, the account fold: values in and out."""
