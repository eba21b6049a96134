"""The errors that end a command, one by one."""


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Returns the errors inside a group, however deep."""
    return [
        leaf
        for error in group.exceptions
        for leaf in (leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
