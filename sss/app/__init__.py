"""The app: a photo's layers and their edits in a browser, on this machine.

Made of what the command lines use, too: a :class:`sss.Scene` for the layers,
:mod:`sss.editing` for the edits.
"""
