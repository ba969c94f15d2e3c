//! Lists that names and texts are made of, kept compact: one line holds many.

#[rustfmt::skip]
pub(crate) const RU_MALE: &[&str] = &[
    "Александр", "Дмитрий", "Максим", "Сергей", "Андрей", "Алексей", "Артём", "Илья", "Кирилл", "Михаил",
    "Никита", "Матвей", "Роман", "Егор", "Арсений", "Иван", "Денис", "Евгений", "Даниил", "Тимофей",
    "Владислав", "Игорь", "Павел", "Руслан", "Фёдор",
];
#[rustfmt::skip]
pub(crate) const RU_FEMALE: &[&str] = &[
    "Анастасия", "Мария", "Анна", "Виктория", "Екатерина", "Наталья", "Марина", "Полина", "София", "Дарья",
    "Алиса", "Ксения", "Александра", "Елена", "Ольга", "Юлия", "Татьяна", "Ирина", "Светлана", "Людмила", "Зоя",
    "Любовь",
];
/// Stems: `а` is added for women.
#[rustfmt::skip]
pub(crate) const RU_LAST: &[&str] = &[
    "Иванов", "Смирнов", "Кузнецов", "Попов", "Васильев", "Петров", "Соколов", "Михайлов", "Новиков", "Фёдоров",
    "Морозов", "Волков", "Алексеев", "Лебедев", "Семёнов", "Егоров", "Павлов", "Козлов", "Степанов", "Николаев",
    "Орлов", "Андреев", "Макаров", "Никитин", "Захаров", "Щербаков",
];
#[rustfmt::skip]
pub(crate) const RU_PATRONYMIC_MALE: &[&str] = &[
    "Александрович", "Дмитриевич", "Сергеевич", "Андреевич", "Ильич", "Михайлович", "Иванович", "Игоревич",
];
#[rustfmt::skip]
pub(crate) const RU_PATRONYMIC_FEMALE: &[&str] = &[
    "Александровна", "Дмитриевна", "Сергеевна", "Андреевна", "Ильинична", "Михайловна", "Ивановна", "Игоревна",
];
#[rustfmt::skip]
pub(crate) const EN_FIRST: &[&str] = &[
    "James", "Mary", "Robert", "Patricia", "John", "Jennifer", "Michael", "Linda", "David", "Elizabeth",
    "William", "Barbara", "Richard", "Susan", "Joseph", "Jessica", "Thomas", "Sarah", "Charles", "Karen",
    "Siobhán", "José", "Zoë", "Anaïs", "Mary-Jane",
];
#[rustfmt::skip]
pub(crate) const EN_LAST: &[&str] = &[
    "Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Miller", "Davis", "O'Brien", "Martinez",
    "Anderson", "Taylor", "Thomas", "Moore", "Jackson", "Martin", "Lee", "Thompson", "White", "Harris",
    "Müller", "van der Berg", "MacGregor", "St. James", "Nguyễn",
];
#[rustfmt::skip]
pub(crate) const EN_MIDDLE: &[&str] = &[
    "A.", "Lee", "Marie", "J.", "Grace", "Ray",
];
#[rustfmt::skip]
pub(crate) const RU_COMPANY: &[&str] = &[
    "Ромашка", "Северсталь-Сервис", "Вектор", "ТехноПром", "Альфа-Лидер", "Газтехника", "Новые решения",
    "Стройинвест", "Меридиан", "Восток-Запад", "Первая мебельная", "Уют и К°", "Агрокомплекс «Заря»", "Дельта",
    "Логистика 24", "Медтехника", "Полиграф Плюс", "Сибирские коммуникации",
];
#[rustfmt::skip]
pub(crate) const RU_COMPANY_FORM: &[&str] = &[
    "ООО", "АО", "ПАО", "ИП", "ЗАО", "НКО",
];
#[rustfmt::skip]
pub(crate) const EN_COMPANY: &[&str] = &[
    "Acme", "Globex", "Initech", "Umbrella Logistics", "Stark & Sons", "Wayne Supplies", "Hooli", "Vandelay",
    "Bluth Homes", "Pied Piper", "Soylent Foods", "Cyberdyne Systems", "Massive Dynamic", "Tyrell",
    "Wonka Sweets", "Oceanic Travel",
];
#[rustfmt::skip]
pub(crate) const EN_COMPANY_FORM: &[&str] = &[
    "Ltd", "LLC", "Inc.", "GmbH", "PLC", "S.A.",
];
#[rustfmt::skip]
pub(crate) const RU_DEAL: &[&str] = &[
    "Поставка оборудования", "Разработка сайта", "Внедрение CRM", "Продление лицензий", "Аренда офиса", "Аудит",
    "Закупка мебели", "Ремонт склада", "Обучение персонала", "Рекламная кампания", "Техподдержка на год",
    "Доставка сборных грузов", "Проектирование", "Монтаж вентиляции",
];
#[rustfmt::skip]
pub(crate) const EN_DEAL: &[&str] = &[
    "Website redesign", "Annual support", "Equipment delivery", "License renewal", "Office lease", "Audit",
    "Staff training", "Ad campaign", "Warehouse refit", "Mobile app", "Data migration", "Consulting package",
];
#[rustfmt::skip]
pub(crate) const RU_POST: &[&str] = &[
    "Генеральный директор", "Менеджер по закупкам", "Главный бухгалтер", "Руководитель отдела продаж",
    "Системный администратор", "Инженер ПТО", "Юрист",
];
#[rustfmt::skip]
pub(crate) const EN_POST: &[&str] = &[
    "CEO", "Purchasing manager", "Chief accountant", "Head of sales", "System administrator", "Engineer",
    "Lawyer",
];
#[rustfmt::skip]
pub(crate) const RU_CITY: &[&str] = &[
    "Москва", "Санкт-Петербург", "Новосибирск", "Екатеринбург", "Казань", "Нижний Новгород", "Ростов-на-Дону",
];
#[rustfmt::skip]
pub(crate) const EN_CITY: &[&str] = &[
    "London", "New York", "Berlin", "Saint-Étienne", "Kraków", "Dublin", "Toronto",
];
#[rustfmt::skip]
pub(crate) const RU_STREET: &[&str] = &[
    "ул. Ленина", "пр. Мира", "ул. Строителей", "наб. Обводного канала", "Невский пр.", "ул. 8 Марта",
];
#[rustfmt::skip]
pub(crate) const EN_STREET: &[&str] = &[
    "Hollow Ridge Alley", "Baker Street", "5th Avenue", "Main St.", "Elm Road",
];
#[rustfmt::skip]
pub(crate) const REGIONS: &[&str] = &[
    "Московская область", "Bavaria", "Ontario", "Татарстан", "Greater London",
];
#[rustfmt::skip]
pub(crate) const COUNTRIES: &[&str] = &[
    "Россия", "Germany", "Canada", "Indonesia", "United Kingdom", "Казахстан",
];
#[rustfmt::skip]
pub(crate) const COUNTRY_CODES: &[&str] = &[
    "RUS", "DEU", "CAN", "IDN", "GBR", "KAZ",
];
#[rustfmt::skip]
pub(crate) const UTM_SOURCES: &[&str] = &[
    "google", "yandex", "vk", "newsletter", "partner-site.example",
];
#[rustfmt::skip]
pub(crate) const UTM_MEDIUMS: &[&str] = &[
    "cpc", "CPC", "email", "organic", "referral",
];
#[rustfmt::skip]
pub(crate) const UTM_CAMPAIGNS: &[&str] = &[
    "summer_sale", "чёрная_пятница", "brand|search", "q3-2024",
];
#[rustfmt::skip]
pub(crate) const UTM_CONTENTS: &[&str] = &[
    "header_banner", "footer_link", "видео 15 сек", "ad%20group",
];
#[rustfmt::skip]
pub(crate) const UTM_TERMS: &[&str] = &[
    "discount", "купить crm", "+crm +price", "\"exact phrase\"",
];
#[rustfmt::skip]
pub(crate) const CURRENCIES: &[&str] = &[
    "RUB", "RUB", "RUB", "RUB", "USD", "EUR", "KZT",
];
#[rustfmt::skip]
pub(crate) const SHORT_RU: &[&str] = &[
    "перезвонить после обеда", "нужен договор", "просил скидку 10%", "важный клиент", "документы отправлены",
    "ждём оплату", "согласовано с руководством",
];
#[rustfmt::skip]
pub(crate) const SHORT_EN: &[&str] = &[
    "call back after lunch", "contract needed", "asked for 10% off", "key account", "papers sent",
    "awaiting payment", "approved by the board",
];
