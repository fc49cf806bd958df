# SPDX-License-Identifier: ISC
# Completion of echod(8) for bash.  Options, models, engines, protocols, socket options and keys
# are what the program itself says.

# _echod_section NAME: the first words of the lines below "NAME:" in --help.
_echod_section() {
	"$echod" --help 2>/dev/null | awk -v name="$1:" '
		$0 == name { in_it = 1; next }
		!/^  / { in_it = 0 }
		in_it { print $1 }'
}

_echod_protocols() {
	"$echod" --help 2>/dev/null | sed -n 's/^PROTO is one of \(.*\)\.$/\1/p' | tr -d ,
}

# _echod_keys: PATH= of every key in force, and of every socket option of each service.
_echod_keys() {
	"$echod" "${source[@]}" --dump-config 2>/dev/null | awk -v options="$(
		"$echod" --list-options 2>/dev/null | awk 'NR > 1 && !/ Refused: / { printf "%s ", $1 }')" '
		BEGIN { n_options = split(options, option, " "); service = -1 }
		{ sub(/^[ \t]+/, "") }
		/^{$/ { service++; path[++depth] = "services[" service "]." ; next }
		/^}/ { if (depth-- == quiet) quiet = 0; next }
		/ = \($/ { next }
		/^socket = {$/ {
			for (i = 1; i <= n_options; i++) print path[depth] "socket." option[i] "="
			quiet = ++depth; next
		}
		/ = {$/ { path[depth + 1] = path[depth] $1 "."; depth++; next }
		/ = / && !quiet { print path[depth] $1 "=" }'
}

# _echod_reply WORDS: those that begin with what is there.
_echod_reply() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_echod_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_echod() {
	local echod=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} n=$((COMP_CWORD - 1)) i
	local prev=${COMP_WORDS[n]} source=()

	COMPREPLY=()
	# "=" is a word of its own: --model=fork, -o PATH=VALUE.
	if [ "$cur" = = ]; then
		cur=
	elif [ "$prev" = = ]; then
		prev=${COMP_WORDS[--n]}
	fi
	# The configuration that is named already is the one whose keys are wanted.
	for ((i = 1; i < n; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --config)
			[ "${COMP_WORDS[i + 1]}" != = ] || i=$((i + 1))
			source=(-c "${COMP_WORDS[i + 1]}")
			;;
		esac
	done
	case $prev in
	-c | --config | --pid-file) _echod_files ;;
	--model | services\[*\].model) _echod_reply "$(_echod_section Models)" ;;
	--engine | services\[*\].engine) _echod_reply "auto $(_echod_section Engines)" ;;
	services\[*\].protocol) _echod_reply "$(_echod_protocols)" ;;
	--workers) ;;
	--listen)
		compopt -o nospace 2>/dev/null
		# shellcheck disable=SC2046
		_echod_reply "$(printf '%s: ' $(_echod_protocols))"
		;;
	-o | --override)
		compopt -o nospace 2>/dev/null
		_echod_reply "$(_echod_keys)"
		;;
	unix | unix-dgram) # --listen unix:PATH is three words
		cur=
		_echod_files
		;;
	:)
		case ${COMP_WORDS[n - 1]} in unix | unix-dgram) _echod_files ;; esac
		;;
	shutdown_timeout | *.*) ;; # any other key's value
	*)
		_echod_reply "$("$echod" --help 2>/dev/null |
			sed -n 's/^  \(-.,\|   \) \(--[a-z-]*\).*/\2/p')"
		;;
	esac
}

complete -F _echod echod
