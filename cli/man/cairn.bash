# Written by make_pages.py: completion of the cairn command for bash.
_cairn() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"
  local words=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words="build search bench truth info verify convert analyze calibrate recode --help --version"
  else
    case "${COMP_WORDS[1]} $before" in
      "build --metric") words="l2 ip cosine" ;;
      "build --storage") words="raw compressed" ;;
      "build --encoding") words="auto int8 int16 half bfloat16 scaled_half decimal exponent float32 delta16" ;;
      "bench --metric") words="l2 ip cosine" ;;
      "bench --storage") words="memory mmap compressed tiered" ;;
      "bench --encoding") words="auto int8 int16 half bfloat16 scaled_half decimal exponent float32 delta16" ;;
      "truth --metric") words="l2 ip cosine" ;;
      "recode --storage") words="raw compressed" ;;
      "recode --encoding") words="auto int8 int16 half bfloat16 scaled_half decimal exponent float32 delta16" ;;
    esac
    if [[ -z "$words" && "$word" == -* ]]; then
      case "${COMP_WORDS[1]}" in
        build) words="-h --help -i --input -o --output --ids --payload --metric --refine-bits --branching-factor --max-leaf-size --iterations --seed --threads --storage --encoding --zstd --dictionary --block-rows --memory-limit --json" ;;
        search) words="-h --help --index -q --queries -k --k --recall --probes --rerank --filter --max-distance --range --limit --max-microseconds --threads -o --output --distances --payload --json" ;;
        bench) words="-h --help --index -i --input --metric --refine-bits --branching-factor --max-leaf-size --iterations --seed --build-threads -q --queries --truth --max-queries -k --k --recall --probes --rerank --storage --encoding --zstd --dictionary --block-rows --hot-bytes --warm-bytes --threads --repeat --json --html --name --peers --image-shape --labels --query-labels --gallery" ;;
        truth) words="-h --help -i --input --index --ids -q --queries -o --output -k --k --metric --threads" ;;
        info) words="-h --help --index --json" ;;
        verify) words="-h --help --index" ;;
        convert) words="-h --help -i --input -o --output --rows" ;;
        analyze) words="-h --help -i --input --zstd --rows --sample --json" ;;
        calibrate) words="-h --help --index -q --queries -o --output --threads" ;;
        recode) words="-h --help --index --storage -o --output --encoding --zstd --dictionary --block-rows" ;;
      esac
    fi
  fi
  if [[ -n "$words" ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -o bashdefault -o default -F _cairn cairn
