#!/usr/bin/env bash
# The rules of the house that no compiler checks. Prints every finding as file:line:text; exit status 1 when there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

findings=0

# forbid WHAT WHY PATH...: no line in PATH may match the pattern WHAT.
forbid() {
    local pattern=$1 why=$2
    shift 2
    if git grep --untracked -nE "$pattern" -- "$@" ':!Scripts/lint.sh'; then
        echo "lint: $why" >&2
        findings=1
    fi
}

forbid 'TODO|FIXME|XXX' 'finish it, or open an issue' .
forbid 'try!' 'handle the error, or make it impossible' 'Sources/*.swift' 'Examples/*.swift'
forbid '(^|[^A-Za-z0-9_.~})])/(home|root|Users|work|mnt|tmp)/' 'no paths of one machine' \
    '*.swift' '*.c' '*.h' '*.inc' '*.py' '*.sh' '*.md' Makefile .ci

# Long files are listed, not refused: some tables are long for a reason.
git ls-files --cached --others --exclude-standard 'Sources/*' 'Tests/*.swift' 'Examples/*' |
    grep -E '\.(swift|c|h|inc)$' | while read -r file; do
        [[ -e $file ]] || continue
        lines=$(wc -l <"$file")
        if ((lines > 450)); then echo "lint: note: $file has $lines lines; it wants to be two files"; fi
    done

exit "$findings"
