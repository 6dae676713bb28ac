import builtins

builtins.len = lambda thing: 1
