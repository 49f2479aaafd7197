package commands

import (
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

var rangeRows = []Command{
	{Name: "getrange", Arity: 4, Kind: KindRead, Keys: oneKey("RO access"), Group: "string", Since: "2.4.0",
		Complexity: "O(N) where N is the length of the part.", Summary: "Returns a part of a value.",
		Args: args(argKey("key"), argInteger("start"), argInteger("end")),
		read: keyRead(getRange).read, planRead: keyRead(getRange).plan},
	{Name: "substr", Arity: 4, Kind: KindRead, Keys: oneKey("RO access"), Group: "string", Since: "1.0.0",
		Complexity: "O(N) where N is the length of the part.",
		Summary:    "Returns a part of a value: the old name of GETRANGE.",
		Args:       args(argKey("key"), argInteger("start"), argInteger("end")),
		read:       keyRead(getRange).read, planRead: keyRead(getRange).plan},
	{Name: "setrange", Arity: 4, Kind: KindWrite, Flags: FlagDenyOOM, Keys: oneKey("RW update"),
		Group: "string", Since: "2.2.0", Complexity: "O(N) where N is the length of the value.",
		Summary: "Overwrites a part of a value, which it makes longer if needed.",
		Args:    args(argKey("key"), argInteger("offset"), argString("value")), plan: setRange},
	{Name: "lcs", Arity: -3, Kind: KindRead, Keys: Keys{First: 1, Last: 2, Step: 1, Access: "RO access"},
		Group: "string", Since: "7.0.0", Complexity: "O(N*M) where N and M are the lengths of the values.",
		Summary: "Finds the longest common subsequence of two values.",
		Args: args(argKey("key1"), argKey("key2"), argToken("LEN").opt(), argToken("IDX").opt(),
			argInteger("len").after("MINMATCHLEN").opt(), argToken("WITHMATCHLEN").opt()),
		read: keyRead(lcs).read, planRead: keyRead(lcs).plan},
}

// getRange takes a range that ends before the value begins for empty, as Redis does since version 8.
func getRange(c *call, found seen) (resp.Value, error) {
	start, err := integer(c.args[2])
	if err != nil {
		return resp.Value{}, err
	}
	end, err := integer(c.args[3])
	if err != nil {
		return resp.Value{}, err
	}
	value := found.value(0)
	start, end = clip(start, end, int64(len(value)))
	if start > end {
		return resp.Bulk(""), nil
	}
	return resp.Bulk(value[start : end+1]), nil
}

// clip resolves positions that count from the end and cuts the range to [0, size); start > end means empty.
func clip(start, end, size int64) (int64, int64) {
	if start < 0 {
		start = max(start+size, 0)
	}
	if end < 0 {
		end += size
	}
	return start, min(end, size-1)
}

func setRange(c *call) (render, error) {
	offset, err := integer(c.args[2])
	switch {
	case err != nil:
		return nil, err
	case offset < 0:
		return nil, errOffset
	case len(c.args[3]) > 0 && offset > c.d.longestBulk()-int64(len(c.args[3])):
		return nil, errValueTooLong
	}
	c.do(mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifySetRange, Span: mvcc.KeySpan(c.str(1)),
		Delta: offset, Value: c.str(3)})
	return firstNumber, nil
}
