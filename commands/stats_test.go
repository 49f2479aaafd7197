package commands

import (
	"testing"
	"time"
)

// Each duration falls into the bucket whose end is the first not below it, at most a quarter above.
func TestHistogramBuckets(t *testing.T) {
	last := len(histogram{}.buckets) - 1
	for micros := int64(0); micros < 1<<33; micros += 1 + micros/7 {
		b := bucketOf(micros)
		end := bucketEnd(b)
		if micros > end || b > 0 && micros <= bucketEnd(b-1) {
			t.Fatalf("%d µs is in bucket %d, which ends at %d", micros, b, end)
		}
		if float64(end) > float64(micros)*1.25+1 {
			t.Fatalf("bucket %d of %d µs ends at %d", b, micros, end)
		}
		if b > last {
			t.Fatalf("bucket %d", b)
		}
	}
	if bucketOf(1<<62) != last {
		t.Error("a very long time is not in the last bucket")
	}
}

func TestPercentile(t *testing.T) {
	var s rowStats
	for i := 1; i <= 1000; i++ {
		s.observe(time.Duration(i) * time.Microsecond)
	}
	st := s.snapshot("x")
	for p, want := range map[float64]time.Duration{50: 500, 99: 990, 99.9: 999} {
		want *= time.Microsecond
		if got := st.Percentile(p); got < want || got > want*5/4 {
			t.Errorf("p%v = %v, want about %v", p, got, want)
		}
	}
	if st.Calls != 1000 || st.Time != 500500*time.Microsecond {
		t.Errorf("calls %d, time %v", st.Calls, st.Time)
	}
}

func TestRateIsAnAverage(t *testing.T) {
	var r rate
	now := time.Unix(1000, 0)
	for i := range rateSamples + 1 {
		r.tick(int64(i*50), now.Add(time.Duration(i)*ratePeriod))
	}
	if got := r.value.Load(); got != 500 {
		t.Errorf("rate %d, want 500", got)
	}
}

func TestErrorsAreCountedByPrefix(t *testing.T) {
	s := newStatistics()
	for _, text := range []string{"ERR a", "ERR b", "OOM c", "STRANGE d", "UNCERTAIN"} {
		s.countError(text)
	}
	got := map[string]int64{}
	for i, prefix := range errorPrefixes {
		got[prefix] = s.errors[i].Load()
	}
	if got["ERR"] != 2 || got["OOM"] != 1 || got["UNCERTAIN"] != 1 || got["other"] != 1 || s.allErrors() != 5 {
		t.Errorf("%v", got)
	}
}
