"""Thin library behind the notebooks: audio -> mel-spectrograms -> DDPM -> gibberish.

Nothing is imported here, so that `import ddpmlib` is instant; import the module you need.
"""
