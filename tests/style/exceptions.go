package style

// exception excuses one place from one rule.
type exception struct {
	rule  string
	where string // as in finding.where
	why   string
}

// exceptions may only shrink; see maxExceptions in style_test.go.
var exceptions = []exception{}

// excused splits findings into those that count and the set of exceptions that were needed.
func excused(all []finding, list []exception) (left []finding, used map[int]bool) {
	used = map[int]bool{}
	for _, f := range all {
		hit := -1
		for i, e := range list {
			if e.rule == f.rule && e.where == f.where {
				hit = i
			}
		}
		if hit < 0 {
			left = append(left, f)
			continue
		}
		used[hit] = true
	}
	return left, used
}
