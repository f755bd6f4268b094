// Package listview keeps how people like to see a list: views that they named, each a
// filter with an order and columns, the one that the list opens with, and the columns that
// they chose. A module describes its list once and gets the routes, the tabs and the forms.
// All of it is personal.
package listview

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Column is a column that a list offers.
type Column struct {
	Name  string
	Label string
	// Fixed columns cannot be hidden.
	Fixed bool
	// Shown columns are there until somebody chooses others.
	Shown bool
}

// Spec describes a list.
type Spec struct {
	// Name is that of the list in the database, such as certificates.hosts.
	Name string
	// Title is its page in words, and Path its address below the workspace.
	Title string
	Path  string
	// Columns are in the order of the table.
	Columns []Column
	// Params are the parts of the address that a view keeps: filters and the order.
	Params []string
	// Check says what is wrong with a query before it is saved.
	Check func(query url.Values, now time.Time) error
}

// List is one list with the views of all people.
type List struct {
	db   *db.DB
	spec Spec
}

// New returns the list of a description.
func New(d *db.DB, s Spec) *List { return &List{db: d, spec: s} }

// Columns returns the names of all columns, in the order of the table.
func (l *List) Columns() []string {
	out := make([]string, len(l.spec.Columns))
	for i, c := range l.spec.Columns {
		out[i] = c.Name
	}
	return out
}

// maxViews is how many views a person has of one list: they are tabs.
const maxViews = 12

// NewView is a view to be saved.
type NewView struct {
	Name string
	// Query is taken from an address of the list; parts that are no filter are left out.
	Query string
	// Columns may be empty, for those that the person chose.
	Columns []string
}

// query returns the parts of a query that a view keeps, in one order.
func (l *List) query(v url.Values) string {
	out := url.Values{}
	for _, name := range l.spec.Params {
		if text := v.Get(name); text != "" {
			out.Set(name, text)
		}
	}
	return out.Encode()
}

func (l *List) checked(query string, now time.Time) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", fault.InvalidField("query", "invalid_filter", "This filter could not be read.")
	}
	query = l.query(values)
	if len(query) > 2000 {
		return "", fault.InvalidField("query", "too_long", "This filter is too long to be saved.")
	}
	return query, l.spec.Check(values, now)
}

func (l *List) args(a db.Actor, more db.Args) db.Args {
	out := db.Args{"user": a.UserID, "list": l.spec.Name}
	for name, v := range more {
		out[name] = v
	}
	return out
}

// known returns the columns that the list has, in the order of the table, and with those
// that cannot be hidden.
func (l *List) known(names []string) []string {
	out := []string{}
	for _, c := range l.spec.Columns {
		if c.Fixed || slices.Contains(names, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

func (l *List) standard() []string {
	out := []string{}
	for _, c := range l.spec.Columns {
		if c.Fixed || c.Shown {
			out = append(out, c.Name)
		}
	}
	return out
}

var errNobody = fault.NewDenied("forbidden", "Only people have views of their own.")

// Save saves a view and returns it.
func (l *List) Save(ctx context.Context, a db.Actor, in NewView) (View, error) {
	if a.UserID == uuid.Nil {
		return View{}, errNobody
	}
	v := View{ID: uuid.Must(uuid.NewV7()), Name: in.Name, Columns: []string{}}
	if len(in.Columns) > 0 {
		v.Columns = l.known(in.Columns)
	}
	var err error
	if v.Query, err = l.checked(in.Query, l.db.Clock().Now()); err != nil {
		return View{}, err
	}
	if err := checkName(in.Name); err != nil {
		return View{}, err
	}
	return v, l.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := lockPerson.Run(ctx, tx, db.Args{"user": a.UserID}); err != nil {
			return err
		}
		n, err := countViews.One(ctx, tx, l.args(a, nil))
		if err != nil {
			return err
		}
		if n >= maxViews {
			return fault.InvalidField("name", "too_many", fmt.Sprintf("You have %d views of this list already. Delete one first.", maxViews))
		}
		_, err = insertView.Run(ctx, tx, l.args(a, db.Args{"id": v.ID, "name": v.Name, "query": v.Query, "columns": v.Columns}))
		return taken(err)
	})
}

func checkName(name string) error {
	var c form.Check
	c.Text("name", name, "A name", 40)
	return c.Err()
}

func taken(err error) error {
	if db.Violated(err, "list_views_name_key") {
		return fault.InvalidField("name", "taken", "You have a view of this name. Choose another one.")
	}
	return err
}

// change runs a command on one view of the actor.
func (l *List) change(ctx context.Context, a db.Actor, id uuid.UUID, run func(tx *db.Tx) (int64, error)) error {
	if a.UserID == uuid.Nil {
		return errNobody
	}
	return l.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		n, err := run(tx)
		if err == nil && n == 0 {
			err = fault.NewNotFound("view")
		}
		return err
	})
}

// Edit is a change of a view; nil fields stay.
type Edit struct {
	Name    *string
	Query   *string
	Columns []string
	// Default makes it the view that the list opens with, or takes that away.
	Default *bool
}

// Edit changes a view of the actor.
func (l *List) Edit(ctx context.Context, a db.Actor, id uuid.UUID, e Edit) error {
	if e.Name != nil {
		if err := checkName(*e.Name); err != nil {
			return err
		}
	}
	if e.Query != nil {
		query, err := l.checked(*e.Query, l.db.Clock().Now())
		if err != nil {
			return err
		}
		e.Query = &query
	}
	return l.change(ctx, a, id, func(tx *db.Tx) (n int64, err error) {
		step := func(c db.Command, more db.Args) {
			if err == nil {
				more["id"] = id
				n, err = c.Run(ctx, tx, l.args(a, more))
				err = taken(err)
			}
		}
		if e.Name != nil {
			step(renameView, db.Args{"name": *e.Name})
		}
		if e.Query != nil {
			step(requeryView, db.Args{"query": *e.Query})
		}
		if e.Columns != nil {
			step(recolumnView, db.Args{"columns": l.known(e.Columns)})
		}
		if e.Default == nil || err != nil {
			return n, err
		}
		return l.makeDefault(ctx, tx, a, id, *e.Default)
	})
}

// makeDefault takes the default away from whichever view has it, and gives it to this one.
// Another view's default stays when this one is only not to be it.
func (l *List) makeDefault(ctx context.Context, tx *db.Tx, a db.Actor, id uuid.UUID, on bool) (int64, error) {
	views, err := ofPerson.All(ctx, tx, l.args(a, nil))
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(views, func(v View) bool { return v.ID == id && v.Name != "" })
	if i < 0 || views[i].Default == on {
		return int64(i + 1), nil
	}
	if _, err := clearDefault.Run(ctx, tx, l.args(a, nil)); err != nil || !on {
		return 1, err
	}
	return setDefault.Run(ctx, tx, l.args(a, db.Args{"id": id}))
}

// Delete deletes a view of the actor.
func (l *List) Delete(ctx context.Context, a db.Actor, id uuid.UUID) error {
	return l.change(ctx, a, id, func(tx *db.Tx) (int64, error) {
		return deleteView.Run(ctx, tx, l.args(a, db.Args{"id": id}))
	})
}

// ChooseColumns keeps which columns the actor wants to see; none means the standard ones.
func (l *List) ChooseColumns(ctx context.Context, a db.Actor, columns []string) error {
	if a.UserID == uuid.Nil {
		return errNobody
	}
	return l.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if len(columns) == 0 || slices.Equal(l.known(columns), l.standard()) {
			_, err := dropColumns.Run(ctx, tx, l.args(a, nil))
			return err
		}
		_, err := putColumns.Run(ctx, tx, l.args(a, db.Args{"columns": l.known(columns)}))
		return err
	})
}
