"""Type a prompt, hear it. The folder is not called try, which is a keyword of Python and can name no package."""
