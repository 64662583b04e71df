"""Checks that others wrote: found without running them here, run in a child, believed in nothing but their result.

``source`` says where a plugin comes from and starts its child, ``entries`` and ``folders`` find plugins,
``loading`` asks each for its checks, ``protocol`` reads what they say, ``worker`` is the child's side.
"""
