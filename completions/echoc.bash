# SPDX-License-Identifier: ISC
# Completion of echoc(1) for bash: subcommands, and the options that each one's --help lists.

_echoc() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local commands='send ping path load compare' command=${COMP_WORDS[1]} words

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
		return
	fi
	case $prev in
	-o)
		words=$(echod --list-options 2>/dev/null | awk 'NR > 1 && !/ Refused: / { print $1 "=" }')
		compopt -o nospace 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
		;;
	--dscp)
		mapfile -t COMPREPLY < <(compgen -W "LE EF $(echo CS{0..7} AF{1..4}{1..3})" -- "$cur")
		return
		;;
	-C | --check)
		words='half-close mtu fragments ports dscp who families idle'
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
		;;
	-U | --unix | --unix-dgram | --histogram | --raw)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	case $cur in
	-*)
		words=$(echoc "$command" --help 2>/dev/null | sed '/^Examples:/,$d' |
			grep -E '^ (-.,|   ) --' | grep -oE -- '--[a-z][a-z0-9-]*')
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur")
		;;
	esac
}

complete -F _echoc echoc
