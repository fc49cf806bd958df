# SPDX-License-Identifier: ISC
# Completion of echoctl(1) for bash: commands and options are what --help lists, services what
# the daemon that is asked has.

# _echoctl_ask WORD...: echoctl WORD..., of the daemon that the line names.
_echoctl_ask() {
	"$echoctl" "${which[@]}" --timeout 1 "$@" 2>/dev/null
}

_echoctl() {
	local echoctl=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} n=$((COMP_CWORD - 1)) i
	local prev=${COMP_WORDS[n]} command='' words='' which=()

	COMPREPLY=()
	# "=" is a word of its own: --socket=PATH.
	if [ "$cur" = = ]; then
		cur=''
	elif [ "$prev" = = ]; then
		prev=${COMP_WORDS[n - 1]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket | --instance)
			n=$((i + 1))
			[ "${COMP_WORDS[n]}" != = ] || n=$((n + 1))
			[ $n -ge "$COMP_CWORD" ] || which=("${COMP_WORDS[i]}" "${COMP_WORDS[n]}")
			i=$n
			;;
		--timeout | --count | = | -* | [0-9]*) ;;
		*) command=${command:-${COMP_WORDS[i]}} ;;
		esac
	done
	case $prev in
	--socket)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--instance)
		words=$(compgen -G '/run/echod-*' | sed 's/.*echod-//')
		;;
	--timeout | --count) ;;
	*)
		case $cur,$command in
		-*) words=$("$echoctl" --help 2>/dev/null | sed -n 's/^  [-,a-zA-Z ]\{4\}\(--[a-z]*\).*/\1/p') ;;
		*,) words=$("$echoctl" --help 2>/dev/null | sed -n '/^Options:/q; s/^  \([a-z]*\) .*/\1/p') ;;
		*,check)
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
			;;
		*,status | *,stats | *,options | *,connections)
			words=$(_echoctl_ask status | sed -n 's/^\([^ :]*\): .*, model .*/\1/p')
			;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _echoctl echoctl
