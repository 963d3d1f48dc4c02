"""The CF checker of IOOS (compliance-checker), whose tables come with it: what it finds in a file."""

from compliance_checker.base import BaseCheck
from compliance_checker.runner import CheckSuite

CheckSuite.load_all_available_checkers()


def cf_faults(path) -> list[str]:
    """Everything that the check of CF-1.8 holds against a file, recommendations and its own breakdowns included."""
    suite = CheckSuite()
    with suite.load_dataset(str(path)) as dataset:
        groups, broken = suite.run_all(dataset, ["cf:1.8"])["cf:1.8"]
    found = [f"{check}: {error[0]!r}" for check, error in broken.items()]
    for group in groups:
        scored = group.value if isinstance(group.value, tuple) else (int(bool(group.value)), 1)
        if scored[0] < scored[1] and group.weight >= BaseCheck.MEDIUM:
            found += [f"{group.name}: {message}" for message in group.msgs]
    return found
