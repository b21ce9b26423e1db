"""What became of the tests of others, for the scripts that run them against a node."""

import collections
import re
import sys

# Of what ran; below it, not even a list of exceptions helps.
PASSING = 0.98


class Outcome:
    """What became of a part of a suite. Passed tests are names, failed ones texts, those left out pairs of a name and a reason."""

    def __init__(self, name):
        # `broken`: why it did not come to its end.
        self.name, self.passed, self.failed, self.left_out, self.broken = name, [], [], [], None

    def __str__(self):
        lines = [f"{self.name}: {len(self.passed)} passed, {len(self.failed)} failed, {len(self.left_out)} left out"]
        reasons = collections.Counter(reason for _, reason in self.left_out)
        lines += [f"    {count} left out: {reason}" for reason, count in sorted(reasons.items())]
        lines += ["    FAILED " + "\n        ".join(text.splitlines()[:3])[:600] for text in self.failed]
        if self.broken:
            lines.append("    BROKEN " + "\n        ".join(self.broken.splitlines()[:6])[:900])
        return "\n".join(lines)


def reason(reasons, places, name):
    """Why a test with this name is left out, by place and by regular expressions; None if it is not."""
    for place in places:
        for pattern, why in reasons.get(place, {}).items():
            if re.search(pattern, name):
                return why
    return None


def finish(outcomes):
    """Prints the totals, and ends the program by what they are."""
    passed, failed, left_out = (sum(len(getattr(outcome, kind)) for outcome in outcomes) for kind in ("passed", "failed", "left_out"))
    ran = passed + failed
    print(f"all: {passed} passed, {failed} failed, {left_out} left out; {100 * passed / max(ran, 1):.1f} % of what ran passed")
    sys.exit(1 if failed or any(outcome.broken for outcome in outcomes) or passed < PASSING * ran else 0)
