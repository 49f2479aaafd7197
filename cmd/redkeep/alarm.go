package main

import (
	"context"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newAlarm(c *client) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alarm",
		Short: "Alarms of the cluster",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := func(name, short string, run func(context.Context) error) {
		cmd.AddCommand(&cobra.Command{
			Use: name, Short: short,
			Args: argsBetween(0, 0, "alarm "+name+" command accepts no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context()) },
		})
	}
	add("list", "Print all alarms that are up", c.alarmList)
	add("disarm", "End all alarms that stay until they are disarmed, and print them", c.alarmDisarm)
	return cmd
}

// alarm has etcd's two fields, and what only the table shows.
type alarm struct {
	MemberID uint64 `json:"memberID"`
	Alarm    string `json:"alarm"`
	name     string
	detail   string
	sticky   bool
}

func (c *client) alarms(ctx context.Context) ([]alarm, header, error) {
	raw, h, err := c.ask(ctx, true, "ALARM.LIST")
	if err != nil {
		return nil, h, err
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, h, unexpected("alarms")
	}
	alarms := []alarm{}
	for _, e := range list {
		f, err := fieldsOf(e)
		if err != nil {
			return nil, h, err
		}
		alarms = append(alarms, alarm{MemberID: f.id("member"), Alarm: f.text("alarm"), name: f.text("name"),
			detail: f.text("detail"), sticky: f.yes("sticky")})
	}
	return alarms, h, nil
}

func (c *client) alarmList(ctx context.Context) error {
	alarms, h, err := c.alarms(ctx)
	if err != nil {
		return err
	}
	return c.print(alarmsReply{Header: h, Alarms: alarms})
}

// alarmDisarm prints what was there to disarm.
func (c *client) alarmDisarm(ctx context.Context) error {
	alarms, h, err := c.alarms(ctx)
	if err != nil {
		return err
	}
	if _, _, err := c.ask(ctx, false, "ALARM.DISARM"); err != nil {
		return err
	}
	r := alarmsReply{Header: h, Alarms: []alarm{}}
	for _, a := range alarms {
		if a.sticky {
			r.Alarms = append(r.Alarms, a)
		}
	}
	return c.print(r)
}

type alarmsReply struct {
	Header header  `json:"header"`
	Alarms []alarm `json:"alarms,omitempty"`
}

func (r alarmsReply) simple(p *page) {
	for _, a := range r.Alarms {
		p.line("memberID:%d alarm:%s ", a.MemberID, a.Alarm)
	}
}

func (r alarmsReply) fields(p *page) {
	p.header(r.Header)
	for _, a := range r.Alarms {
		p.field("MemberID", a.MemberID)
		p.field("AlarmType", a.Alarm)
		p.line("")
	}
}

func (r alarmsReply) table() (table.Row, []table.Row) {
	var rows []table.Row
	for _, a := range r.Alarms {
		rows = append(rows, table.Row{fmt.Sprintf("%016x", a.MemberID), a.name, a.Alarm, a.detail})
	}
	return table.Row{"Member", "Name", "Alarm", "Detail"}, rows
}
